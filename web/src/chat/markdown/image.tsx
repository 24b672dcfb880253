import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { request } from "../../api/client";
import { addressToRead, safeAddress } from "./addresses";

const SHOWN = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"]);

/** A picture that the gateway keeps for this account; it is fetched with the token. */
export function GatewayImage({ id, alt }: { id: string; alt: string }) {
  const { t } = useTranslation();
  const picture = useQuery({
    queryKey: ["image", id],
    queryFn: async ({ signal }) => (await request(`/api/v1/media/images/${id}`, { signal })).blob(),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const address = useObjectUrl(picture.data && SHOWN.has(picture.data.type) ? picture.data : null);
  if (address) return <img src={address} alt={alt} className="my-2 max-h-[32rem] max-w-full rounded-md" />;
  return (
    <span
      role="img"
      aria-label={alt}
      className="my-2 inline-block rounded-sm bg-panel px-3 py-2 text-sm text-ink-soft"
    >
      {picture.isLoading ? t("common.loading") : t("chat.imageGone")}
    </span>
  );
}

function useObjectUrl(blob: Blob | null): string | null {
  const [address, setAddress] = useState<string | null>(null);
  useEffect(() => {
    if (!blob) return;
    const made = URL.createObjectURL(blob);
    setAddress(made);
    return () => {
      setAddress(null);
      URL.revokeObjectURL(made);
    };
  }, [blob]);
  return address;
}

/** A picture from elsewhere: to load it would tell that server that and when this was read. */
export function UnloadedImage({ href, alt }: { href: string; alt: string }) {
  const { t } = useTranslation();
  const target = safeAddress(href);
  return (
    <span className="my-1 inline-block rounded-sm border border-line bg-panel px-3 py-2 text-sm text-ink-soft">
      {t("chat.imageNotLoaded")} {alt && <bdi>{alt} · </bdi>}
      {target ? (
        <a href={target.href} target="_blank" rel="noopener noreferrer nofollow">
          <bdi>{addressToRead(href)}</bdi>
        </a>
      ) : (
        <code>{addressToRead(href)}</code>
      )}
    </span>
  );
}
