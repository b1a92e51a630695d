// The page of what is fetched: fresh every few seconds.
import { fresh } from "./common.js";

fresh("pulls", "/pulls/state", 5);
