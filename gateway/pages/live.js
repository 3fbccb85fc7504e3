// What the gateway says of jobs as it happens: one stream a page, and only while the page is
// looked at, since a browser opens six connections to a server for all its tabs together.

const AGAIN_MS = 10_000;

// Call `changed(state)` for each change of any job, `opened()` when the stream begins or begins
// anew, and `lost(refused)` when it does not: when refused, it is tried again every ten seconds;
// when cut, the browser comes back by itself and is told what it missed.
export function follow({ changed, opened, lost }) {
  let source;
  let again;

  function open() {
    close();
    source = new EventSource("/v1/events");
    source.addEventListener("job", (event) => changed(JSON.parse(event.data)));
    source.onopen = opened;
    source.onerror = () => {
      const refused = source.readyState === EventSource.CLOSED;
      if (refused) again = setTimeout(open, AGAIN_MS);
      lost(refused);
    };
  }

  function close() {
    clearTimeout(again);
    source?.close();
  }

  const look = () => (document.hidden ? close() : open());
  document.addEventListener("visibilitychange", look);
  look();
}
