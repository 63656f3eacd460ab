// Streams files to the server's upload route, one after the other, and resumes where a connection was lost.
const RETRIES = 8;
const RETRY_AFTER_MS = 1000;
const SPEED_WINDOW_MS = 4000;
const MEMORY = "cervix-upload:";
const EXPIRED = "This page's permission to upload has expired. Reload the page and choose the same file: it resumes where it was.";

export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  const root = parentElement;
  const find = (selector) => root.querySelector(selector);
  // The element outlives reruns of the page; so does an upload under way.
  const state = (root.uploader ??= { running: null });
  state.data = data;
  state.report = setTriggerValue;
  find(".hint").textContent = data.hint;
  if (state.ready) return;
  state.ready = true;

  const zone = find(".zone");
  find(".files").onclick = () => find(".pick-files").click();
  find(".folder").onclick = () => find(".pick-folder").click();
  for (const selector of [".pick-files", ".pick-folder"]) {
    find(selector).onchange = (event) => {
      const files = [...event.target.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
      event.target.value = "";
      begin(files);
    };
  }
  zone.ondragover = (event) => { event.preventDefault(); zone.classList.add("over"); };
  zone.ondragleave = () => zone.classList.remove("over");
  zone.ondrop = async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    begin(await dropped(event.dataTransfer));
  };
  find(".cancel").onclick = () => cancel();
  find(".resume").onclick = () => send(state.running);

  function begin(files) {
    const real = files.filter(({ path }) => !path.split("/").pop().startsWith("."));
    if (!real.length || (state.running && !state.running.stopped)) return;
    const total = real.reduce((sum, { file }) => sum + file.size, 0);
    const memory = MEMORY + fingerprint(real);
    // An upload belongs to the token that began it: after a reload that one has to be named.
    const kept = localStorage.getItem(memory);
    const [upload, begunBy] = (kept?.includes(":") ? kept : `${newId()}:${token()}`).split(":");
    localStorage.setItem(memory, `${upload}:${begunBy}`);
    state.running = { files: real, total, upload, begunBy, memory, before: 0, speeds: [] };
    send(state.running);
  }

  async function send(run) {
    run.stopped = false;
    show("sending");
    say("");
    find(".resume").hidden = true;
    find(".name").textContent = run.files.length === 1 ? run.files[0].path : `${run.files.length} files`;
    if (run.total > state.data.limit_bytes) {
      return halt(run, `The upload is too large: expected at most ${size(state.data.limit_bytes)}; found ${size(run.total)}.`, true);
    }
    try {
      run.before = 0;
      for (let number = 0; number < run.files.length; number++) {
        await sendFile(run, number);
        run.before += run.files[number].file.size;
      }
      find(".figures").textContent = "Checking …";
      // The server keeps names in memory only and may have been started again since.
      const names = JSON.stringify(run.files.map(({ path }) => path));
      const answer = await fetch(address(run), { method: "POST", headers: known(run), body: names });
      const told = await answer.json();
      if (answer.status === 404) return halt(run, EXPIRED, false);
      localStorage.removeItem(run.memory);
      if (!answer.ok) return halt(run, told.error, true);
      state.running = null;
      show("idle");
      const first = run.files[0].path.split("/").pop();
      state.report("done", { upload: run.upload, name: run.files.length === 1 ? first : `${first} and ${run.files.length - 1} more` });
    } catch (problem) {
      if (!run.cancelled) halt(run, problem.message, problem.final);
    }
  }

  async function sendFile(run, number) {
    const { file, path } = run.files[number];
    for (let tries = 0; ; tries++) {
      try {
        run.speeds = [];
        const head = await fetch(address(run, number), { method: "HEAD", headers: known(run) });
        if (head.status === 403) throw refusal("This upload was begun by another session. Choose the file again.", true);
        // After a restart of the server the page soon has a new permission; what has arrived is kept until then.
        if (!head.ok) throw refusal(EXPIRED, false);
        const offset = Number(head.headers.get("Upload-Offset"));
        if (offset > file.size) throw refusal("The file has changed since its upload began. Cancel, then choose it again.", true);
        if (offset === file.size && file.size > 0) return;
        await put(run, number, file, path, offset);
        return;
      } catch (problem) {
        if (run.cancelled || problem.final) throw problem;
        const lasting = problem.message === EXPIRED ? EXPIRED : "The connection was lost. What has arrived is kept.";
        if (tries >= RETRIES) throw refusal(lasting, false);
        find(".figures").textContent = "Connection lost, trying again …";
        await new Promise((resume) => setTimeout(resume, RETRY_AFTER_MS * Math.min(tries + 1, 5)));
      }
    }
  }

  function put(run, number, file, path, offset) {
    return new Promise((resolve, reject) => {
      const request = (run.request = new XMLHttpRequest());
      request.open("PUT", address(run, number));
      request.setRequestHeader("Upload-Offset", offset);
      request.setRequestHeader("Upload-Length", file.size);
      request.setRequestHeader("Upload-Name", encodeURIComponent(path.toWellFormed?.() ?? path));
      request.setRequestHeader("Upload-Begun-By", run.begunBy);
      request.upload.onprogress = (event) => progress(run, run.before + offset + event.loaded);
      request.onload = () => {
        if (request.status === 200) return resolve();
        let sentence = `The server answered ${request.status}.`;
        try { sentence = JSON.parse(request.responseText).error; } catch { /* a proxy's page, not ours */ }
        const passing = [404, 502, 503, 504].includes(request.status) || /still open|goes on elsewhere/.test(sentence);
        reject(refusal(sentence, !passing));
      };
      request.onerror = () => reject(refusal("connection", false));
      request.onabort = () => reject(refusal("cancelled", true));
      request.send(offset ? file.slice(offset) : file);
    });
  }

  function progress(run, done) {
    const now = performance.now();
    run.speeds = [...run.speeds.filter(([at]) => now - at < SPEED_WINDOW_MS), [now, done]];
    const [since, then] = run.speeds[0];
    const speed = now > since ? ((done - then) / (now - since)) * 1000 : 0;
    find("progress").value = run.total ? done / run.total : 0;
    const left = speed > 0 ? ` · ${size(speed)}/s · ${duration((run.total - done) / speed)} left` : "";
    find(".figures").textContent = `${size(done)} of ${size(run.total)}${left}`;
  }

  function halt(run, sentence, final) {
    run.stopped = true;
    say(sentence);
    find(".resume").hidden = Boolean(final);
    if (final) {
      localStorage.removeItem(run.memory);
      fetch(address(run), { method: "DELETE", headers: known(run) }).catch(() => {});
      state.running = null;
      show("idle");
    }
  }

  function cancel() {
    const run = state.running;
    if (run) {
      run.cancelled = true;
      run.request?.abort();
      localStorage.removeItem(run.memory);
      fetch(address(run), { method: "DELETE", headers: known(run) }).catch(() => {});
    }
    state.running = null;
    say("");
    show("idle");
  }

  const address = (run, number) => `${state.data.url}/${run.upload}${number === undefined ? "" : `/${number}`}`;
  const token = () => state.data.url.split("/").pop();
  const known = (run) => ({ "Upload-Begun-By": run.begunBy });
  const say = (sentence) => { find(".problem").textContent = sentence; };
  function show(what) {
    find(".idle").hidden = what !== "idle";
    find(".sending").hidden = what !== "sending";
    if (what === "sending") find("progress").value = 0;
  }
  return () => { state.running?.request?.abort(); };
}

function refusal(sentence, final) {
  return Object.assign(new Error(sentence), { final });
}

async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
  return (await Promise.all(entries.map((entry) => walk(entry, "")))).flat();
}

async function walk(entry, above) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ file, path: above + entry.name }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map((inner) => walk(inner, `${above}${entry.name}/`)))).flat();
}

function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// FNV-1a over what a browser knows of files without reading them: enough to find an interrupted upload again.
function fingerprint(files) {
  let hash = 0x811c9dc5;
  for (const { file, path } of files) {
    for (const character of `${path}|${file.size}|${file.lastModified};`) {
      hash = Math.imul(hash ^ character.codePointAt(0), 0x01000193) >>> 0;
    }
  }
  return `${files.length}-${files[0].file.size}-${hash.toString(16)}`;
}

function size(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(0)} MB` : `${Math.max(0, bytes / 1e3).toFixed(0)} kB`;
}

function duration(seconds) {
  return seconds >= 90 ? `${Math.round(seconds / 60)} min` : `${Math.max(1, Math.round(seconds))} s`;
}
