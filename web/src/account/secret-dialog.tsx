import { useTranslation } from "react-i18next";
import type { CreatedApiKey } from "../api/types";
import { publicUrl } from "../lib/base-url";
import { Button } from "../ui/button";
import { CopyButton } from "../ui/copy-button";
import { Dialog } from "../ui/dialog";
import { Notice } from "../ui/notice";

/** Shows the secret of a new key once, with ready-to-run examples. */
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
      <CodeSnippet label={t("account.keys.secret")} text={secret} />
      <CodeSnippet label={t("account.keys.curlExample")} text={curlExample(secret)} />
      <CodeSnippet label={t("account.keys.pythonExample")} text={pythonExample(secret)} />
      <div className="flex justify-end">
        <Button variant="primary" onClick={onClose}>
          {t("account.keys.done")}
        </Button>
      </div>
    </Dialog>
  );
}

function CodeSnippet({ label, text }: { label: string; text: string }) {
  return (
    <figure className="code-block shrink-0">
      <figcaption className="flex min-h-9 items-center justify-between pr-1 pl-3 text-sm font-medium">
        {label}
        <CopyButton text={text} withText />
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard. */}
      <pre tabIndex={0} className="font-mono">
        {text}
      </pre>
    </figure>
  );
}

function curlExample(secret: string): string {
  return `curl ${publicUrl()}/v1/chat/completions \\
  -H "Authorization: Bearer ${secret}" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "auto", "messages": [{"role": "user", "content": "Say hello."}]}'`;
}

function pythonExample(secret: string): string {
  return `from openai import OpenAI

client = OpenAI(base_url="${publicUrl()}/v1", api_key="${secret}")
answer = client.chat.completions.create(
    model="auto", messages=[{"role": "user", "content": "Say hello."}]
)
print(answer.choices[0].message.content)`;
}
