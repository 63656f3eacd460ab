// The tour's control: it lights a part of the page, says what it is, and goes on by itself. It lies over the page, so that
// nothing it does makes Streamlit draw the page anew; only a wish ("next", "back", …) goes to the server.
const FIND_EVERY_MS = 200;
const PRESS_AFTER_S = 9;
const PRESS_EVERY_MS = 1600;
const EDGE_PX = 6;
const SETTLES_MS = 6000;
const GIVEN_UP_MS = 20_000;
const STYLE = `
#cervix-tour { position: fixed; inset: 0; z-index: 999990; pointer-events: none; font-family: "Source Sans", sans-serif; }
#cervix-tour .light { position: absolute; border-radius: 10px; box-shadow: 0 0 0 200vmax rgba(10, 20, 26, .5), 0 0 0 3px #3FB6BE; transition: all .35s; }
#cervix-tour .card { position: absolute; right: 16px; bottom: 14px; width: min(470px, calc(100vw - 24px));
  box-sizing: border-box; background: #10191E; color: #F2F7F8; border-radius: 12px; padding: 12px 16px 10px; pointer-events: auto;
  box-shadow: 0 6px 28px rgba(0,0,0,.4); }
#cervix-tour h2 { margin: 0 0 2px; font-size: 17px; line-height: 1.3; color: #FFFFFF; padding: 0; }
#cervix-tour p { margin: 0 0 8px; font-size: 15px; line-height: 1.4; }
#cervix-tour .row { display: flex; gap: 6px; align-items: center; }
#cervix-tour button { font: inherit; font-size: 14px; min-height: 32px; padding: 3px 11px; border-radius: 8px; border: 1px solid #5B7480;
  background: #1B2930; color: #F2F7F8; cursor: pointer; }
#cervix-tour button:hover { background: #2A3D46; }
#cervix-tour button:focus-visible { outline: 2px solid #3FB6BE; outline-offset: 2px; }
#cervix-tour .count { margin-left: auto; font-size: 13px; font-variant-numeric: tabular-nums; }
#cervix-tour .time { height: 3px; background: #2A3D46; border-radius: 2px; margin-bottom: 8px; overflow: hidden; }
#cervix-tour .time i { display: block; height: 100%; width: 0; background: #3FB6BE; }
@media (prefers-reduced-motion: reduce) { #cervix-tour .light { transition: none; } }
#cervix-tour .card.left { right: auto; left: 16px; }
@media (max-width: 640px) { #cervix-tour .card, #cervix-tour .card.left { bottom: 6px; left: 12px; right: 12px; width: auto; padding: 9px 11px; } #cervix-tour p { font-size: 14px; } #cervix-tour h2 { font-size: 15.5px; } #cervix-tour button { padding: 3px 8px; } }
#cervix-tour[hidden] { display: none; }
body:has(#cervix-tour[data-demo="yes"]) [data-testid="stHeader"] { display: none; }
@media print { #cervix-tour { display: none; } }
`;

export default function (component) {
  const { parentElement: root, data, setTriggerValue } = component;
  const control = (root.control ??= new Control());
  control.update(data, (wish) => setTriggerValue("go", { wish, at: data.at }));
  return () => control.leave();
}

class Control {
  constructor() {
    this.box = document.createElement("section");
    this.box.id = "cervix-tour";
    this.box.setAttribute("aria-label", "Tour");
    this.box.innerHTML = `<style>${STYLE}</style><div class="light" hidden></div>
      <div class="card" role="dialog" aria-live="polite" aria-labelledby="cervix-tour-title"><div class="time"><i></i></div><h2 id="cervix-tour-title"></h2><p></p>
      <div class="row"><button class="back" type="button">Back</button><button class="hold" type="button"></button>
      <button class="next" type="button">Next</button><button class="restart" type="button" title="Start over">Restart</button>
      <button class="end" type="button" title="End the tour (Esc)">End</button><span class="count"></span></div></div>`;
    document.getElementById("cervix-tour")?.remove();
    document.body.append(this.box);
    const on = (name, act) => { this.find(`.${name}`).onclick = act; };
    on("back", () => this.wish("back"));
    on("next", () => this.wish("next"));
    on("restart", () => this.wish("restart"));
    on("end", () => this.wish("end"));
    on("hold", () => this.hold());
    this.onkey = (event) => this.key(event);
    this.ontouch = (event) => this.touched(event);
    addEventListener("keydown", this.onkey);
    addEventListener("pointerdown", this.ontouch, true);
    this.timer = setInterval(() => this.tick(), FIND_EVERY_MS);
    this.idle = 0;
  }

  find(selector) { return this.box.querySelector(selector); }

  update(data, send) {
    const another = this.data?.at !== data.at;
    this.data = data;
    this.send = send;
    // Whoever pauses and plays on at once is not stopped by the server's late answer to the first of both.
    if (another) this.playing = data.playing;
    if (!another) return this.label();
    this.box.hidden = this.sent = false;
    this.box.dataset.demo = data.idle_s ? "yes" : "no";
    this.elapsed = 0;
    this.idle = 0;
    this.toPress = [...data.press];
    this.pressAt = PRESS_AFTER_S * 1000;
    this.scrolled = false;
    this.missed = 0;
    this.since = performance.now();
    this.find("h2").textContent = data.title;
    this.find("p").textContent = data.text;
    this.find(".count").textContent = `${data.at + 1} of ${data.steps}`;
    this.find(".back").disabled = data.at === 0;
    this.label();
    this.tick();
  }

  label() { this.find(".hold").textContent = this.playing ? "Pause" : "Play"; }

  wish(wish) {
    if (this.sent) return;
    this.sent = wish !== "pause" && wish !== "play";
    // The page may take a while to draw itself without the tour.
    if (wish === "end") this.box.hidden = true;
    this.send(wish);
  }

  hold(playing = !this.playing) {
    if (playing === this.playing) return;
    this.playing = playing;
    this.label();
    this.wish(playing ? "play" : "pause");
  }

  // Whoever takes the page into their own hands is not led on.
  touched(event) {
    this.idle = 0;
    if (this.data?.idle_s && !document.fullscreenElement) document.documentElement.requestFullscreen?.().catch(() => {});
    if (event.isTrusted && !this.box.contains(event.target)) this.hold(false);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    this.idle = 0;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName ?? "") || event.target.isContentEditable) return;
    const acts = { " ": () => this.hold(), ArrowRight: () => this.wish("next"), ArrowLeft: () => this.wish("back"), Escape: () => this.wish("end") };
    if (!acts[event.key]) return;
    acts[event.key]();
    event.preventDefault();
    event.stopPropagation();
  }

  tick() {
    const { data } = this;
    if (!data) return;
    this.idle += FIND_EVERY_MS;
    if (data.idle_s && !this.playing && this.idle > data.idle_s * 1000) return this.wish("restart");
    const target = document.querySelector(data.target);
    const seen = target && target.getBoundingClientRect().height > 0;
    this.light(seen ? target : null);
    if (!seen || this.sent || !this.playing) return;
    this.elapsed += FIND_EVERY_MS;
    this.find(".time i").style.width = `${Math.min(100, this.elapsed / (data.seconds * 10))}%`;
    if (this.toPress.length && this.elapsed >= this.pressAt) {
      const button = document.querySelector(this.toPress[0]);
      // A button that does not come, such as one that somebody pressed before, holds nobody up for long.
      if (!button || button.disabled) {
        this.elapsed -= FIND_EVERY_MS;
        this.missed += FIND_EVERY_MS;
        if (this.missed > GIVEN_UP_MS) this.toPress = [];
        return;
      }
      this.toPress.shift();
      this.pressAt = this.elapsed + PRESS_EVERY_MS;
      button.click();
    }
    // What a button has begun is not cut short.
    const busy = document.querySelector('[data-testid="stApp"]')?.dataset.testScriptState === "running";
    if (this.elapsed >= data.seconds * 1000 && !this.toPress.length && !busy) this.wish("next");
  }

  light(target) {
    const light = this.find(".light");
    light.hidden = !target;
    if (!target) return;
    if (!this.scrolled) { this.scrolled = true; target.scrollIntoView({ block: "nearest" }); }
    const under = document.querySelector('[data-testid="stHeader"]')?.getBoundingClientRect().bottom ?? 0;
    const box = target.getBoundingClientRect();
    // The card lies on the side where it hides less of what is lit.
    this.find(".card").classList.toggle("left", box.left > innerWidth - box.right);
    const card = this.find(".card").getBoundingClientRect();
    // What is lit must not lie under the card or above the screen: the page is moved, unless somebody else moves it.
    const ours = this.playing || performance.now() - this.since < SETTLES_MS;
    if (ours && (box.top > card.top - 80 || box.bottom < under + 80)) target.scrollIntoView({ block: "start" });
    // The navigation stays above what is scrolled under it; words may reach beyond the box that they are in.
    const top = Math.max(box.top - EDGE_PX, under);
    const bottom = box.top + Math.max(box.height, target.scrollHeight) + EDGE_PX;
    Object.assign(light.style, {
      left: `${box.left - EDGE_PX}px`, top: `${top}px`, width: `${box.width + 2 * EDGE_PX}px`, height: `${Math.max(0, bottom - top)}px`,
    });
  }

  leave() {
    clearInterval(this.timer);
    removeEventListener("keydown", this.onkey);
    removeEventListener("pointerdown", this.ontouch, true);
    this.box.remove();
  }
}
