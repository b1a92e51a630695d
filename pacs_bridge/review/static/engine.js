// The engine's page: fresh every few seconds.
import { fresh } from "./common.js";

fresh("engine", "/engine/state", 3);
