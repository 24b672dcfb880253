import { account } from "./account";
import { chat } from "./chat";
import { codes } from "./codes";
import { common } from "./common";
import { errors } from "./errors";
import { session } from "./session";

export default { common, codes, errors, session, chat, account };
