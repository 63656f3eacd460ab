// Instruments around the Plotly map of a slide: heat layers, scale bar, magnification, overview, hot spots, regions.
// They work on the MapLibre map inside the chart, so that nothing they do makes Streamlit draw the chart anew.
const HEAT = "cervix-heat"; // two layers take turns, so that one is seen while the other arrives
const TILE_PX = 512; // MapLibre counts zoom in tiles of 512 px
const FIND_EVERY_MS = 250;
const PAN_PX = 120;
const SPOT_ZOOM_IN = 0.5; // screen pixels a slide pixel at a hot spot
const SCALE_BAR_PX = 130;
const INSET_PX = 130;
const REGION_POINTS = 200;
const PHOTO_QUALITY = 0.85;
const SMALL_PX = 500; // a map as on a phone
const FIT = 0.94; // of the map that the whole slide takes
const BAR_PX = 48;
const OPACITY = 0.5;
const UM_TIMES_POWER = 10; // a 10x objective gives about 1 µm a pixel
const SVG = "http://www.w3.org/2000/svg";
const places = new Map(); // where each slide was left, for as long as the page lives

export default function (component) {
  const { parentElement: root, data, setTriggerValue } = component;
  const view = (root.view ??= new View(root));
  view.update(data, setTriggerValue);
  return () => view.leave();
}

class View {
  constructor(root) {
    this.root = root;
    this.spot = -1;
    this.drawing = null;
    const on = (selector, act) => { root.querySelector(selector).onclick = act; };
    on(".in", () => this.map?.zoomIn());
    on(".out", () => this.map?.zoomOut());
    on(".fit", () => this.fit());
    on(".next", () => this.goToSpot(1));
    on(".previous", () => this.goToSpot(-1));
    on(".draw", () => this.startDrawing(!this.drawing));
    on(".clear", () => this.report("region", []));
    on(".whole", () => this.wholeScreen());
    on(".help", () => {
      const keys = root.querySelector(".keys");
      keys.hidden = !keys.hidden;
      root.querySelector(".help").setAttribute("aria-expanded", String(!keys.hidden));
    });
    root.querySelector(".layer").onchange = (event) => { this.picked = event.target.value; this.showHeat(); this.drawLegend(); };
    root.querySelector(".opacity").oninput = (event) => { this.opacity = Number(event.target.value); this.showHeat(); };
  }

  update(data, report) {
    if (this.data?.slide !== data.slide) { this.picked = undefined; this.spot = -1; }
    this.data = data;
    this.report = report;
    this.opacity ??= OPACITY;
    this.fillControls();
    this.timer ??= setInterval(() => this.attach(), FIND_EVERY_MS);
    this.attach();
    if (this.map) { this.showHeat(); this.drawLegend(); this.draw(); }
  }

  fillControls() {
    const select = this.root.querySelector(".layer");
    const wanted = this.data.layers.map(({ id, title }) => `${id}:${title}`).join();
    if (select.dataset.filled !== wanted) {
      select.replaceChildren(...this.data.layers.map(({ id, title }) => new Option(title, id)), new Option("None", "none"));
      select.dataset.filled = wanted;
    }
    select.value = this.layer;
    const empty = !this.data.layers.length;
    for (const label of this.root.querySelectorAll(".pick")) label.hidden = empty;
    this.root.querySelector(".opacity").value = this.opacity;
    this.root.querySelector(".spots").hidden = !this.data.spots || this.data.silent;
    for (const name of [".next", ".previous"]) this.root.querySelector(name).disabled = !this.data.spots?.length;
    this.root.querySelector(".which").textContent = this.data.spots && !this.data.spots.length ? "none found" : this.spotText();
    this.root.querySelector(".regions").hidden = !this.data.selectable;
    this.root.querySelector(".clear").hidden = !this.data.region?.length;
  }

  // What was picked while scoring may be gone from the layers of the answer.
  get layer() {
    const there = this.picked === "none" || this.data.layers.some(({ id }) => id === this.picked);
    return there ? this.picked : this.data.layer;
  }

  spotText() { return this.spot >= 0 ? `${this.spot + 1} of ${this.data.spots.length}` : ""; }

  wholeScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else document.querySelector(`.st-key-viewer_${this.data.map_key}`)?.requestFullscreen?.();
  }

  // The chart may not be there yet, or may have been replaced: look again until and after it is.
  attach() {
    const chart = document.querySelector(`.st-key-${this.data.map_key} .js-plotly-plot`);
    const subplot = chart?._fullLayout?.map?._subplot;
    const map = subplot?.map;
    if (map && map === this.map) return this.keepHeatOnTop();
    if (!map?.isStyleLoaded()) return;
    this.map = map;
    this.subplot = subplot;
    this.heat = undefined;
    const frame = map.getContainer();
    this.overlay?.remove();
    this.overlay = this.buildOverlay(frame);
    frame.tabIndex = 0;
    frame.setAttribute("role", "application");
    frame.setAttribute("aria-label", "Slide: arrows move, plus and minus zoom");
    frame.onkeydown = (event) => this.key(event);
    this.shareGestures(map, frame);
    map.on("move", () => this.draw());
    // Printers get nothing of a canvas that a graphics card draws. A picture that is loaded when somebody prints is printed.
    map.on("idle", () => { if (this.map === map) this.photo.src = map.getCanvas().toDataURL("image/jpeg", PHOTO_QUALITY); });
    map.on("error", ({ error }) => {
      const sentence = { 404: "This view has expired: reload the page.", 422: "The slide's file cannot be read any more." }[error?.status];
      if (sentence) this.root.querySelector(".problem").textContent = sentence;
    });
    map.on("click", (event) => {
      if (this.data.selectable && !this.drawing && this.map === map) this.report("tile", this.toSlide(event.lngLat));
    });
    const place = places.get(this.data.slide);
    if (place) this.goTo(place);
    else this.fit();
    this.showHeat();
    this.drawLegend();
    this.draw();
  }

  // One finger and the wheel scroll the page, as on other maps within pages; two fingers, Ctrl, or a map that was clicked move it.
  shareGestures(map, frame) {
    const shared = map.cooperativeGestures;
    if (!shared) return;
    shared.enable();
    let touched = false;
    frame.addEventListener("pointerdown", ({ pointerType }) => { touched = pointerType === "touch"; }, true);
    frame.addEventListener("focusin", () => { if (!touched && shared.isEnabled()) shared.disable(); });
    frame.addEventListener("focusout", () => { if (this.map === map && !shared.isEnabled()) shared.enable(); });
  }

  // Plotly keeps the places to which its own events lead and would go back to them when the page changes its width.
  goTo(place) {
    this.subplot.wheeling = true;
    this.map.jumpTo(place);
  }

  buildOverlay(frame) {
    const overlay = document.createElement("div");
    overlay.className = "cervix-overlay";
    overlay.style.cssText = "position:absolute;inset:0;pointer-events:none;z-index:5;overflow:hidden;font:600 12px sans-serif;color:#1B2B34";
    this.lines = document.createElementNS(SVG, "svg");
    this.lines.classList.add("cervix-lines");
    this.lines.style.cssText = "position:absolute;inset:0;width:100%;height:100%";
    this.photo = document.createElement("img");
    this.photo.className = "cervix-photo";
    this.photo.alt = "";
    this.bar = document.createElement("div");
    this.bar.className = "cervix-scale-bar";
    this.bar.style.cssText = "position:absolute;left:12px;bottom:12px;padding:2px 6px 4px;background:rgba(255,255,255,.85);border-radius:4px";
    this.legend = document.createElement("div");
    this.legend.className = "cervix-legend";
    this.legend.style.cssText = "position:absolute;right:10px;bottom:12px;padding:4px 8px;background:rgba(255,255,255,.9);border-radius:4px;font-weight:400";
    this.inset = document.createElement("div");
    this.inset.className = "cervix-overview";
    const { width, height } = this.data;
    this.insetPx = frame.clientWidth < SMALL_PX ? INSET_PX * 0.6 : INSET_PX;
    const factor = this.insetPx / Math.max(width, height);
    this.inset.style.cssText = `position:absolute;right:10px;top:10px;width:${width * factor}px;height:${height * factor}px;` +
      "border:1px solid #5B6B73;background:#fff center/100% 100%;overflow:hidden;pointer-events:auto;cursor:pointer";
    this.inset.style.backgroundImage = `url("${this.data.overview}")`;
    this.frameInInset = document.createElement("div");
    this.frameInInset.style.cssText = "position:absolute;border:2px solid #D55E00;box-sizing:border-box;min-width:4px;min-height:4px";
    this.inset.append(this.frameInInset);
    this.inset.onclick = (event) => {
      event.stopPropagation();
      const box = this.inset.getBoundingClientRect();
      this.goTo({ center: this.toMap((event.clientX - box.left) / factor, (event.clientY - box.top) / factor) });
    };
    overlay.append(this.photo, this.lines, this.bar, this.legend, this.inset);
    frame.append(overlay);
    return overlay;
  }

  // Slide pixels <-> Web Mercator, as cervix/slides/deepzoom.py lays the slide on the world.
  toMap(x, y) {
    const { world_px: world, origin } = this.data;
    const across = (x + origin[0]) / world;
    const down = (y + origin[1]) / world;
    return [across * 360 - 180, (Math.atan(Math.sinh(Math.PI * (1 - 2 * down))) * 180) / Math.PI];
  }

  toSlide({ lng, lat }) {
    const { world_px: world, origin } = this.data;
    const down = (1 - Math.asinh(Math.tan((lat * Math.PI) / 180)) / Math.PI) / 2;
    return [((lng + 180) / 360) * world - origin[0], down * world - origin[1]];
  }

  get pixelsPerScreenPixel() { return this.data.world_px / (TILE_PX * 2 ** this.map.getZoom()); }

  fit() {
    const { width, height, world_px: world } = this.data;
    const box = this.map.getContainer().getBoundingClientRect();
    // The instruments lie on the upper edge of a map that is wide enough.
    const above = box.width < SMALL_PX ? 0 : BAR_PX;
    const scale = FIT * Math.min(box.width / width, (box.height - above) / height);
    this.goTo({ center: this.toMap(width / 2, height / 2 - above / 2 / scale), zoom: Math.log2((world * scale) / TILE_PX) });
  }

  goToSpot(step) {
    const spots = this.data.spots;
    if (!this.map || !spots?.length) return;
    this.spot = this.spot < 0 ? (step > 0 ? 0 : spots.length - 1) : (this.spot + step + spots.length) % spots.length;
    const [x, y] = spots[this.spot];
    const zoom = Math.max(this.map.getZoom(), Math.log2((this.data.world_px * SPOT_ZOOM_IN) / TILE_PX));
    this.goTo({ center: this.toMap(x, y), zoom });
    this.root.querySelector(".which").textContent = this.spotText();
    this.report("spot", this.spot);
  }

  // The layer that is seen stays until the one that takes its place has arrived.
  showHeat() {
    const map = this.map;
    if (!map) return;
    const chosen = this.data.layers.find(({ id }) => id === this.layer);
    if (!chosen) { this.dropHeat(this.heat); this.dropHeat(this.coming); this.heat = this.coming = undefined; return; }
    const newest = this.coming ?? this.heat;
    if (newest?.url !== chosen.url) {
      this.dropHeat(this.coming);
      const id = this.heat?.id === HEAT ? `${HEAT}-2` : HEAT;
      map.addSource(id, { type: "raster", tiles: [chosen.url], tileSize: 256 });
      map.addLayer({
        id, type: "raster", source: id,
        paint: { 
          "raster-fade-duration": 0, "raster-resampling": "nearest",
          "raster-opacity": this.heat ? 0 : this.opacity, "raster-opacity-transition": { duration: 0 },
        },
      });
      this.coming = { id, url: chosen.url, layer: chosen.id };
      if (!this.heat) this.takePlace();
      else map.once("idle", () => this.takePlace());
    }
    if (this.heat) map.setPaintProperty(this.heat.id, "raster-opacity", this.opacity);
  }

  takePlace() {
    if (!this.coming || !this.map?.getLayer(this.coming.id)) return;
    const left = this.heat;
    this.heat = this.coming;
    this.coming = undefined;
    this.map.setPaintProperty(this.heat.id, "raster-opacity", this.opacity);
    if (left) this.dropHeat(left);
  }

  dropHeat(heat) {
    if (!heat) return;
    if (this.map.getLayer(heat.id)) this.map.removeLayer(heat.id);
    if (this.map.getSource(heat.id)) this.map.removeSource(heat.id);
  }

  // Plotly may add the slide's own layer after ours, and would then hide it.
  keepHeatOnTop() {
    const order = this.map.getStyle().layers;
    const ours = [this.heat, this.coming].filter(Boolean);
    if (!ours.length) return this.showHeat();
    for (const { id } of ours) if (!this.map.getLayer(id)) { this.heat = this.coming = undefined; return this.showHeat(); }
    if (!order[order.length - 1].id.startsWith(HEAT)) for (const { id } of ours) this.map.moveLayer(id);
  }

  draw() {
    const { map, data } = this;
    if (!map) return;
    places.set(data.slide, { center: map.getCenter(), zoom: map.getZoom() });
    const per = this.pixelsPerScreenPixel;
    const box = map.getContainer().getBoundingClientRect();
    const [left, top] = this.toSlide(map.unproject([0, 0]));
    const factor = this.insetPx / Math.max(data.width, data.height);
    Object.assign(this.frameInInset.style, {
      left: `${left * factor}px`, top: `${top * factor}px`, width: `${box.width * per * factor}px`, height: `${box.height * per * factor}px`,
    });
    this.drawScale(per);
    const shapes = [];
    if (data.tile) {
      const [x, y, edge] = data.tile;
      shapes.push(this.polygon([[x, y], [x + edge, y], [x + edge, y + edge], [x, y + edge]], "#111111", "none"));
    }
    if (data.region?.length) shapes.push(this.polygon(data.region, "#009E73", "rgba(0,158,115,.12)"));
    if (this.drawing?.length) shapes.push(this.polygon(this.drawing, "#009E73", "rgba(0,158,115,.2)"));
    this.lines.replaceChildren(...shapes);
  }

  drawScale(per) {
    const { spacing } = this.data;
    if (!spacing) {
      this.bar.textContent = `no scale · ${(100 / per).toFixed(per > 10 ? 1 : 0)} % of full size`;
      return;
    }
    const um = spacing * per;
    const power = 10 ** Math.floor(Math.log10(um * SCALE_BAR_PX));
    const length = [5, 2, 1].map((step) => step * power).find((step) => step <= um * SCALE_BAR_PX);
    const line = document.createElement("div");
    line.style.cssText = `width:${length / um}px;height:4px;background:#1B2B34;margin-top:2px`;
    const magnification = UM_TIMES_POWER / um;
    const times = `${magnification >= 10 ? magnification.toFixed(0) : magnification.toFixed(1)}×`;
    this.bar.title = `${um >= 10 ? um.toFixed(0) : um.toFixed(2)} µm/px on the screen`;
    this.bar.replaceChildren(`${length >= 1000 ? `${length / 1000} mm` : `${length} µm`} · ${times}`, line);
  }

  // Titles come from the bundle: text, never markup.
  drawLegend() {
    const rows = this.data.layers.find(({ id }) => id === this.layer)?.legend ?? [];
    this.legend.hidden = !rows.length;
    this.legend.style.display = rows.length ? "" : "none";
    const small = this.map?.getContainer().clientWidth < SMALL_PX;
    this.legend.style.fontSize = small ? "11px" : "12px";
    this.legend.replaceChildren(...rows.map(({ title, short, colour, pattern }) => {
      const row = document.createElement("div");
      row.style.cssText = `display:flex;gap:6px;align-items:center;line-height:${small ? 15 : 18}px`;
      const swatch = document.createElement("span");
      swatch.style.cssText = "flex:none;width:14px;height:12px;border:1px solid rgba(0,0,0,.35);border-radius:2px;background:" + {
        plain: colour,
        ramp: `linear-gradient(90deg,#fff,${colour})`,
        lines: `repeating-linear-gradient(-45deg,${colour} 0 2px,#fff 2px 5px)`,
        dots: `radial-gradient(${colour} 30%,#fff 32%) 0 0/5px 5px`,
      }[pattern];
      if (pattern === "ramp") swatch.style.width = "34px";
      row.append(swatch, small ? short : title);
      return row;
    }));
  }

  polygon(points, stroke, fill) {
    const shape = document.createElementNS(SVG, "polygon");
    shape.setAttribute("points", points.map(([x, y]) => { const at = this.map.project(this.toMap(x, y)); return `${at.x},${at.y}`; }).join(" "));
    shape.setAttribute("stroke", stroke);
    shape.setAttribute("stroke-width", "2.5");
    shape.setAttribute("fill", fill);
    return shape;
  }

  startDrawing(wanted) {
    if (!this.map || !this.data.selectable) return;
    const frame = this.map.getContainer();
    const button = this.root.querySelector(".draw");
    this.drawing = wanted ? [] : null;
    button.setAttribute("aria-pressed", String(wanted));
    button.textContent = wanted ? "Drag around it …" : "Region";
    this.map.dragPan[wanted ? "disable" : "enable"]();
    this.map.getCanvas().style.cursor = wanted ? "crosshair" : "";
    const at = (event) => {
      const box = frame.getBoundingClientRect();
      return this.toSlide(this.map.unproject([event.clientX - box.left, event.clientY - box.top]));
    };
    frame.onpointerdown = wanted ? (event) => { this.drawing = [at(event)]; frame.setPointerCapture(event.pointerId); } : null;
    frame.onpointermove = wanted ? (event) => { if (this.drawing?.length) { this.drawing.push(at(event)); this.draw(); } } : null;
    frame.onpointerup = wanted
      ? () => {
        const points = this.drawing ?? [];
        this.startDrawing(false);
        const step = Math.ceil(points.length / REGION_POINTS);
        if (points.length > 2) this.report("region", points.filter((_, index) => index % step === 0));
        this.draw();
      }
      : null;
  }

  key(event) {
    const pan = { ArrowLeft: [-PAN_PX, 0], ArrowRight: [PAN_PX, 0], ArrowUp: [0, -PAN_PX], ArrowDown: [0, PAN_PX] }[event.key];
    const acts = {
      "+": () => this.map.zoomIn(), "=": () => this.map.zoomIn(), "-": () => this.map.zoomOut(), 0: () => this.fit(),
      n: () => this.goToSpot(1), p: () => this.goToSpot(-1), r: () => this.startDrawing(!this.drawing),
      Escape: () => this.startDrawing(false), f: () => this.wholeScreen(),
      "[": () => this.changeOpacity(-0.1), "]": () => this.changeOpacity(0.1),
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (pan) this.map.panBy(pan, { duration: 0 });
    else if (acts[event.key.toLowerCase()] ?? acts[event.key]) (acts[event.key.toLowerCase()] ?? acts[event.key])();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  changeOpacity(step) {
    this.opacity = Math.min(1, Math.max(0, this.opacity + step));
    this.root.querySelector(".opacity").value = this.opacity;
    this.showHeat();
  }

  leave() {
    clearInterval(this.timer);
    this.timer = undefined;
    this.overlay?.remove();
    this.map = undefined;
  }
}
