import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Icon } from "../ui/icon";
import { chatModelsQuery } from "./queries";

// Questions that small models can answer too.
const SUGGESTION_NAMES = ["explain", "write", "ideas", "poem"] as const;

/** A new chat: a greeting, suggestions and, if it is in use, a notice about the local model. */
export function EmptyChat({ onSend }: { onSend: (text: string) => void }) {
  const { t } = useTranslation();
  const models = useQuery(chatModelsQuery).data ?? [];
  return (
    <div className="mx-auto flex w-full max-w-3xl flex-col gap-6 px-4 py-8">
      <h1 className="text-center text-xl font-semibold">{t("chat.greeting")}</h1>
      <ul className="grid gap-2 sm:grid-cols-2">
        {SUGGESTION_NAMES.map((name) => (
          <li key={name}>
            <button
              type="button"
              className="panel min-h-16 w-full px-4 py-3 text-left text-sm hover:bg-hover"
              onClick={() => onSend(t(`chat.suggestions.${name}`))}
            >
              {t(`chat.suggestions.${name}`)}
            </button>
          </li>
        ))}
      </ul>
      {models.some((model) => model.provider === "local") && <LocalModelNotice />}
    </div>
  );
}

/** Explains the built-in local model and how to connect a better one. */
function LocalModelNotice() {
  const { t } = useTranslation();
  return (
    <section className="rounded-md bg-panel px-4 py-3 text-sm" aria-label={t("chat.localModel.title")}>
      <p className="flex items-center gap-2 font-medium">
        <Icon name="info" />
        {t("chat.localModel.title")}
      </p>
      <p className="mt-1 text-ink-soft">{t("chat.localModel.hint")}</p>
      <details className="mt-2">
        <summary className="font-medium text-accent">{t("chat.localModel.connect")}</summary>
        <p className="mt-2 text-ink-soft">{t("chat.localModel.steps")}</p>
        <dl className="mt-2 flex flex-col gap-2 text-ink-soft">
          <div>
            <dt>
              <code className="font-mono text-xs text-ink">OLLAMA_URL=http://localhost:11434</code>
            </dt>
            <dd>{t("chat.localModel.ollama")}</dd>
          </div>
          <div>
            <dt>
              <code className="font-mono text-xs text-ink">OPENAI_API_KEY=sk-…</code>
            </dt>
            <dd>{t("chat.localModel.apiKeys")}</dd>
          </div>
        </dl>
      </details>
    </section>
  );
}
