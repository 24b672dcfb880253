import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Icon } from "../ui/icon";
import { chatModels } from "./queries";

// What a model of any size can answer: the first click should succeed.
const SUGGESTIONS = ["explain", "write", "ideas", "poem"] as const;

/** A page without a conversation: what could be asked, and what answers here. */
export function EmptyChat({ onAsk }: { onAsk: (text: string) => void }) {
  const { t } = useTranslation();
  const models = useQuery(chatModels).data ?? [];
  return (
    <div className="mx-auto flex w-full max-w-3xl flex-col gap-6 px-4 py-8">
      <h1 className="text-center text-xl font-semibold">{t("chat.greeting")}</h1>
      <ul className="grid gap-2 sm:grid-cols-2">
        {SUGGESTIONS.map((name) => (
          <li key={name}>
            <button
              type="button"
              className="panel min-h-16 w-full px-4 py-3 text-left text-sm hover:bg-hover"
              onClick={() => onAsk(t(`chat.suggestions.${name}`))}
            >
              {t(`chat.suggestions.${name}`)}
            </button>
          </li>
        ))}
      </ul>
      {models.some((model) => model.provider === "local") && <SmallModel />}
    </div>
  );
}

/** Where nothing else answers: what the small model is, and how to have a better one. */
function SmallModel() {
  const { t } = useTranslation();
  return (
    <section className="rounded-md bg-panel px-4 py-3 text-sm" aria-label={t("chat.small")}>
      <p className="flex items-center gap-2 font-medium">
        <Icon name="info" />
        {t("chat.small")}
      </p>
      <p className="mt-1 text-ink-soft">{t("chat.smallHint")}</p>
      <details className="mt-2">
        <summary className="font-medium text-accent">{t("chat.smallConnect")}</summary>
        <p className="mt-2 text-ink-soft">{t("chat.smallSteps")}</p>
        <dl className="mt-2 flex flex-col gap-2 text-ink-soft">
          <div>
            <dt>
              <code className="font-mono text-xs text-ink">OLLAMA_URL=http://localhost:11434</code>
            </dt>
            <dd>{t("chat.smallOllama")}</dd>
          </div>
          <div>
            <dt>
              <code className="font-mono text-xs text-ink">OPENAI_API_KEY=sk-…</code>
            </dt>
            <dd>{t("chat.smallKey")}</dd>
          </div>
        </dl>
      </details>
    </section>
  );
}
