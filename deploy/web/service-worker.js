// Keeps every answer that the page got, and gives it again where the network is not there. Online
// the server is always asked, so that a bundle that was deployed again is never mixed with an old one.

const KEPT = "threadlite-bundle";
const PAGE = ["./", "style.css", "app.js", "bundle.js", "engines.js", "pixels.js"];

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(caches.open(KEPT).then((kept) => kept.addAll(PAGE)));
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  const own = new URL(url).origin === self.location.origin;
  if (method === "GET" && own) event.respondWith(answerTo(event));
});

async function answerTo(event) {
  const kept = await caches.open(KEPT);
  try {
    const answer = await fetch(event.request);
    // A full disk costs the use offline, and not the answer.
    if (answer.ok) event.waitUntil(kept.put(event.request, answer.clone()).catch(console.warn));
    return answer;
  } catch (fault) {
    const found = await kept.match(event.request);
    if (found) return found;
    throw fault;
  }
}
