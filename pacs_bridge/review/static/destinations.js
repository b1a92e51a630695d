// The destinations' page: fresh every few seconds.
import { fresh } from "./common.js";

fresh("destinations", "/destinations/state", 5);
