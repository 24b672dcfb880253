import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { request } from "../../api/client";
import { displayUrl, safeUrl } from "./links";

const DISPLAYABLE_TYPES = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"]);

/** An image stored by the gateway; it is fetched with the access token. */
export function GatewayImage({ id, alt }: { id: string; alt: string }) {
  const { t } = useTranslation();
  const image = useQuery({
    queryKey: ["image", id],
    queryFn: async ({ signal }) => (await request(`/api/v1/media/images/${id}`, { signal })).blob(),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const objectUrl = useObjectUrl(image.data && DISPLAYABLE_TYPES.has(image.data.type) ? image.data : null);
  if (objectUrl)
    return <img src={objectUrl} alt={alt} className="my-2 max-h-[32rem] max-w-full rounded-md" />;
  return (
    <span
      role="img"
      aria-label={alt}
      className="my-2 inline-block rounded-sm bg-panel px-3 py-2 text-sm text-ink-soft"
    >
      {image.isLoading ? t("common.loading") : t("chat.imageDeleted")}
    </span>
  );
}

function useObjectUrl(blob: Blob | null): string | null {
  const [url, setUrl] = useState<string | null>(null);
  useEffect(() => {
    if (!blob) return;
    const created = URL.createObjectURL(blob);
    setUrl(created);
    return () => {
      setUrl(null);
      URL.revokeObjectURL(created);
    };
  }, [blob]);
  return url;
}

/** An external image is not loaded, because its server would learn that and when it was read. */
export function ExternalImagePlaceholder({ href, alt }: { href: string; alt: string }) {
  const { t } = useTranslation();
  const target = safeUrl(href);
  return (
    <span className="my-1 inline-block rounded-sm border border-line bg-panel px-3 py-2 text-sm text-ink-soft">
      {t("chat.imageNotLoaded")} {alt && <bdi>{alt} · </bdi>}
      {target ? (
        <a href={target.href} target="_blank" rel="noopener noreferrer nofollow">
          <bdi>{displayUrl(href)}</bdi>
        </a>
      ) : (
        <code>{displayUrl(href)}</code>
      )}
    </span>
  );
}
