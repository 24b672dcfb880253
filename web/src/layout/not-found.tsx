import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { EmptyState } from "../ui/empty-state";
import { useDocumentTitle } from "../ui/page";
import { TEXT_LINK_CLASS } from "../ui/text-link";

export function NotFoundPage() {
  const { t } = useTranslation();
  useDocumentTitle(t("common.notFound"));
  return (
    <main className="pt-16">
      <EmptyState page icon="search" title={t("common.notFound")}>
        <p>{t("common.notFoundHint")}</p>
        <Link to="/" className={`mt-3 inline-block ${TEXT_LINK_CLASS}`}>
          {t("common.goToChat")}
        </Link>
      </EmptyState>
    </main>
  );
}
