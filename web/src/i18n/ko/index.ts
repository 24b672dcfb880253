import { account } from "./account";
import { admin } from "./admin";
import { chat } from "./chat";
import { common } from "./common";
import { errors } from "./errors";
import { session } from "./session";

export default { common, errors, session, chat, account, admin };
