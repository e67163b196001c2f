// The service worker: the page opens without the service, and takes what other apps share.

const PAGES = "adain-pages";
const SHARED = "adain-shared";

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  const path = url.slice(registration.scope.length).split("?")[0];
  if (method === "POST" && path === "shared") event.respondWith(take(event.request));
  else if (method === "GET" && url.startsWith(registration.scope) && isPage(path)) {
    event.respondWith(freshOrKept(event.request));
  } else if (method === "DELETE") {
    event.respondWith(fetch(event.request)); // the browser drops its own when the page goes
  }
});

const isPage = (path) => path === "" || path.startsWith("page/");

/** Answer from the service, and keep the answer for the time when it cannot be reached. */
async function freshOrKept(request) {
  const kept = await caches.open(PAGES);
  try {
    const response = await fetch(request);
    if (response.ok) await kept.put(request, response.clone());
    return response;
  } catch (error) {
    const response = await kept.match(request, { ignoreSearch: true });
    if (response) return response;
    throw error;
  }
}

/** Keep a shared picture until the page asks for it. */
async function take(request) {
  const file = (await request.formData()).get("content");
  const headers = { "Content-Type": file.type, "X-Name": encodeURIComponent(file.name) };
  await (await caches.open(SHARED)).put("shared", new Response(file, { headers }));
  return Response.redirect(`${registration.scope}?shared`, 303);
}
