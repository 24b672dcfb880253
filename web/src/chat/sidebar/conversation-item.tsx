import { type FormEvent, memo, useState } from "react";
import { useTranslation } from "react-i18next";
import { NavLink, useMatch, useNavigate } from "react-router";
import type { Conversation, ListedConversation } from "../../api/types";
import { sanitizeLine } from "../../lib/text";
import { Button } from "../../ui/button";
import { cx } from "../../ui/cx";
import { ConfirmDialog, Dialog } from "../../ui/dialog";
import { TextField } from "../../ui/field";
import { Menu, MenuItem } from "../../ui/menu";
import { toastError } from "../../ui/toast";
import { useDeleteConversation, useUpdateConversation } from "../queries";
import type { SearchHitState } from "../thread/use-search-hit";
import { HighlightedText } from "./highlighted-text";

interface ConversationItemProps {
  conversation: ListedConversation;
  /** The search query; empty if there is none. */
  query: string;
}

export const ConversationItem = memo(function ConversationItem({
  conversation,
  query,
}: ConversationItemProps) {
  const { t } = useTranslation();
  const [openDialog, setOpenDialog] = useState<"rename" | "delete" | null>(null);
  const title = sanitizeLine(conversation.title) || t("chat.untitled");
  const { hit } = conversation;
  const state: SearchHitState | null = hit ? { hit: { messageId: hit.message_id, text: hit.match } } : null;
  return (
    <li className="group relative">
      <NavLink
        to={`/c/${conversation.id}`}
        state={state}
        title={title}
        className={({ isActive }) =>
          cx(
            "flex min-h-9 flex-col justify-center rounded-sm py-1.5 pr-9 pl-3 text-sm hover:bg-hover",
            isActive && "bg-hover font-medium",
          )
        }
      >
        <span className="truncate">
          <HighlightedText text={title} query={query} />
        </span>
        {hit && (
          <span className="line-clamp-2 text-xs font-normal text-ink-soft">
            {hit.before}
            <HighlightedText text={hit.match} query={hit.match} />
            {hit.after}
          </span>
        )}
      </NavLink>
      <ActionsMenu
        title={title}
        onRename={() => setOpenDialog("rename")}
        onDelete={() => setOpenDialog("delete")}
      />
      {openDialog === "rename" && (
        <RenameDialog conversation={conversation} onClose={() => setOpenDialog(null)} />
      )}
      {openDialog === "delete" && (
        <DeleteDialog id={conversation.id} title={title} onClose={() => setOpenDialog(null)} />
      )}
    </li>
  );
});

interface ActionsMenuProps {
  title: string;
  onRename: () => void;
  onDelete: () => void;
}

/** Visible while the item is hovered or focused, and always on touch devices. */
function ActionsMenu({ title, onRename, onDelete }: ActionsMenuProps) {
  const { t } = useTranslation();
  return (
    <Menu
      label={t("chat.actionsFor", { title })}
      className={cx(
        "absolute top-0.5 right-0.5 opacity-0 group-hover:opacity-100 group-focus-within:opacity-100",
        "aria-expanded:opacity-100 pointer-coarse:opacity-100",
      )}
    >
      <MenuItem icon="edit" onClick={onRename}>
        {t("common.rename")}
      </MenuItem>
      <MenuItem icon="close" danger onClick={onDelete}>
        {t("common.delete")}
      </MenuItem>
    </Menu>
  );
}

function RenameDialog({ conversation, onClose }: { conversation: Conversation; onClose: () => void }) {
  const { t } = useTranslation();
  const change = useUpdateConversation(conversation.id);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const title = sanitizeLine(String(new FormData(event.currentTarget).get("title")));
    if (title) change.mutate({ title }, { onSuccess: onClose, onError: toastError });
  };
  return (
    <Dialog open title={t("chat.renameTitle")} onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <TextField
          label={t("chat.conversationTitle")}
          name="title"
          defaultValue={sanitizeLine(conversation.title)}
          maxLength={200}
          autoComplete="off"
          required
        />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button variant="primary" type="submit" busy={change.isPending}>
            {t("common.save")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function DeleteDialog({ id, title, onClose }: { id: string; title: string; onClose: () => void }) {
  const { t } = useTranslation();
  const remove = useDeleteConversation(id);
  const navigate = useNavigate();
  const open = useMatch(`/c/${id}`) !== null;
  return (
    <ConfirmDialog
      open
      title={t("chat.deleteTitle")}
      text={t("chat.deleteText", { title })}
      action={t("common.delete")}
      busy={remove.isPending}
      onClose={onClose}
      onConfirm={() =>
        remove.mutate(undefined, {
          onSuccess: () => {
            onClose();
            if (open) navigate("/", { replace: true });
          },
          onError: toastError,
        })
      }
    />
  );
}
