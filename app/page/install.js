// The page as an app: its service worker, and the picture that another app has shared with it.

const SHARED = "adain-shared";

/** Register the service worker, where the browser has such and the page is served safely. */
export function install() {
  navigator.serviceWorker?.register("worker.js").catch(() => {}); // the page works without
}

/** Return the file that was shared with the page, once, or null. */
export async function takeShared() {
  if (!new URLSearchParams(location.search).has("shared")) return null;
  history.replaceState(null, "", location.pathname);
  const shared = await caches.open(SHARED);
  const response = await shared.match("shared");
  if (!response) return null;
  await shared.delete("shared");
  const blob = await response.blob();
  return new File([blob], decodeURIComponent(response.headers.get("X-Name")), { type: blob.type });
}
