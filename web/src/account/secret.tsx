import { useTranslation } from "react-i18next";
import type { CreatedApiKey } from "../api/types";
import { outside } from "../lib/root";
import { Button } from "../ui/button";
import { CopyButton } from "../ui/copy-button";
import { Dialog } from "../ui/dialog";
import { Notice } from "../ui/notice";

/** A new key's secret, this once, and lines that work as they are. */
export function SecretDialog({
  apiKey: { secret },
  onClose,
}: {
  apiKey: CreatedApiKey;
  onClose: () => void;
}) {
  const { t } = useTranslation();
  return (
    <Dialog open wide title={t("account.keys.secretTitle")} onClose={onClose}>
      <Notice kind="warning">{t("account.keys.secretHint")}</Notice>
      <Lines label={t("account.keys.secret")} text={secret} />
      <Lines label={t("account.keys.curl")} text={curlLines(secret)} />
      <Lines label={t("account.keys.python")} text={pythonLines(secret)} />
      <div className="flex justify-end">
        <Button kind="primary" onClick={onClose}>
          {t("account.keys.done")}
        </Button>
      </div>
    </Dialog>
  );
}

function Lines({ label, text }: { label: string; text: string }) {
  return (
    <figure className="code-block shrink-0">
      <figcaption className="flex min-h-9 items-center justify-between pr-1 pl-3 text-sm font-medium">
        {label}
        <CopyButton text={text} withText />
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reached by keyboard. */}
      <pre tabIndex={0} className="font-mono">
        {text}
      </pre>
    </figure>
  );
}

function curlLines(secret: string): string {
  return `curl ${outside()}/v1/chat/completions \\
  -H "Authorization: Bearer ${secret}" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "auto", "messages": [{"role": "user", "content": "Say hello."}]}'`;
}

function pythonLines(secret: string): string {
  return `from openai import OpenAI

client = OpenAI(base_url="${outside()}/v1", api_key="${secret}")
answer = client.chat.completions.create(
    model="auto", messages=[{"role": "user", "content": "Say hello."}]
)
print(answer.choices[0].message.content)`;
}
