// Instruments around the Plotly map of a slide: heat layers, scale bar, magnification, overview, hot spots, regions.
// They work on the MapLibre map inside the chart, so that nothing they do makes Streamlit draw the chart anew.
const HEAT = "cervix-heat";
const TILE_PX = 512; // MapLibre counts zoom in tiles of 512 px
const FIND_EVERY_MS = 250;
const PAN_PX = 120;
const SPOT_ZOOM_IN = 0.5; // screen pixels a slide pixel at a hot spot
const SCALE_BAR_PX = 130;
const INSET_PX = 130;
const REGION_POINTS = 200;
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
    root.querySelector(".layer").onchange = (event) => { this.picked = event.target.value; this.showHeat(); };
    root.querySelector(".opacity").oninput = (event) => { this.opacity = Number(event.target.value); this.showHeat(); };
  }

  update(data, report) {
    if (this.data?.slide !== data.slide) { this.picked = undefined; this.spot = -1; }
    this.data = data;
    this.report = report;
    this.opacity ??= 0.6;
    this.fillControls();
    this.timer ??= setInterval(() => this.attach(), FIND_EVERY_MS);
    this.attach();
    if (this.map) { this.showHeat(); this.draw(); }
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
    this.root.querySelector(".spots").hidden = !this.data.spots;
    for (const name of [".next", ".previous"]) this.root.querySelector(name).disabled = !this.data.spots?.length;
    this.root.querySelector(".which").textContent = this.data.spots && !this.data.spots.length ? "none found" : this.spotText();
    this.root.querySelector(".regions").hidden = !this.data.selectable;
    this.root.querySelector(".clear").hidden = !this.data.region?.length;
    this.root.querySelector(".keys").style.display = this.data.selectable ? "" : "none";
  }

  get layer() { return this.picked ?? this.data.layer; }

  spotText() { return this.spot >= 0 ? `${this.spot + 1} of ${this.data.spots.length}` : ""; }

  // The chart may not be there yet, or may have been replaced: look again until and after it is.
  attach() {
    const chart = document.querySelector(`.st-key-${this.data.map_key} .js-plotly-plot`);
    const map = chart?._fullLayout?.map?._subplot?.map;
    if (map && map === this.map) return this.keepHeatOnTop();
    if (!map?.isStyleLoaded()) return;
    this.map = map;
    const frame = map.getContainer();
    this.overlay?.remove();
    this.overlay = this.buildOverlay(frame);
    frame.tabIndex = 0;
    frame.setAttribute("role", "application");
    frame.setAttribute("aria-label", "Slide: arrows move, plus and minus zoom");
    frame.onkeydown = (event) => this.key(event);
    map.on("move", () => this.draw());
    map.on("error", ({ error }) => {
      const sentence = { 404: "This view has expired: reload the page.", 422: "The slide's file cannot be read any more." }[error?.status];
      if (sentence) this.root.querySelector(".problem").textContent = sentence;
    });
    map.on("click", (event) => {
      if (this.data.selectable && !this.drawing && this.map === map) this.report("tile", this.toSlide(event.lngLat));
    });
    const place = places.get(this.data.slide);
    if (place) map.jumpTo(place);
    this.showHeat();
    this.draw();
  }

  buildOverlay(frame) {
    const overlay = document.createElement("div");
    overlay.className = "cervix-overlay";
    overlay.style.cssText = "position:absolute;inset:0;pointer-events:none;z-index:5;overflow:hidden;font:600 12px sans-serif;color:#1B2B34";
    this.lines = document.createElementNS(SVG, "svg");
    this.lines.style.cssText = "position:absolute;inset:0;width:100%;height:100%";
    this.bar = document.createElement("div");
    this.bar.className = "cervix-scale-bar";
    this.bar.style.cssText = "position:absolute;left:12px;bottom:12px;padding:2px 6px 4px;background:rgba(255,255,255,.85);border-radius:4px";
    this.inset = document.createElement("div");
    this.inset.className = "cervix-overview";
    const { width, height } = this.data;
    const factor = INSET_PX / Math.max(width, height);
    this.inset.style.cssText = `position:absolute;right:10px;top:10px;width:${width * factor}px;height:${height * factor}px;` +
      "border:1px solid #5B6B73;background:#fff center/100% 100%;overflow:hidden;pointer-events:auto;cursor:pointer";
    this.inset.style.backgroundImage = `url("${this.data.overview}")`;
    this.frameInInset = document.createElement("div");
    this.frameInInset.style.cssText = "position:absolute;border:2px solid #D55E00;box-sizing:border-box;min-width:4px;min-height:4px";
    this.inset.append(this.frameInInset);
    this.inset.onclick = (event) => {
      event.stopPropagation();
      const box = this.inset.getBoundingClientRect();
      this.map.jumpTo({ center: this.toMap((event.clientX - box.left) / factor, (event.clientY - box.top) / factor) });
    };
    overlay.append(this.lines, this.bar, this.inset);
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
    const scale = Math.min(box.width / width, box.height / height);
    this.map.jumpTo({ center: this.toMap(width / 2, height / 2), zoom: Math.log2((world * scale) / TILE_PX) });
  }

  goToSpot(step) {
    const spots = this.data.spots;
    if (!this.map || !spots?.length) return;
    this.spot = this.spot < 0 ? (step > 0 ? 0 : spots.length - 1) : (this.spot + step + spots.length) % spots.length;
    const [x, y] = spots[this.spot];
    const zoom = Math.max(this.map.getZoom(), Math.log2((this.data.world_px * SPOT_ZOOM_IN) / TILE_PX));
    this.map.jumpTo({ center: this.toMap(x, y), zoom });
    this.root.querySelector(".which").textContent = this.spotText();
    this.report("spot", this.spot);
  }

  showHeat() {
    const map = this.map;
    if (!map) return;
    const chosen = this.data.layers.find(({ id }) => id === this.layer);
    const source = map.getSource(HEAT);
    if (!chosen) { if (map.getLayer(HEAT)) map.setLayoutProperty(HEAT, "visibility", "none"); return; }
    if (!source) {
      map.addSource(HEAT, { type: "raster", tiles: [chosen.url], tileSize: 256 });
      map.addLayer({ id: HEAT, type: "raster", source: HEAT, paint: { "raster-fade-duration": 0, "raster-resampling": "nearest" } });
      this.shown = chosen.url;
    } else if (this.shown !== chosen.url) {
      source.setTiles([chosen.url]);
      this.shown = chosen.url;
    }
    map.setLayoutProperty(HEAT, "visibility", "visible");
    map.setPaintProperty(HEAT, "raster-opacity", this.opacity);
  }

  // Plotly may add the slide's own layer after ours, and would then hide it.
  keepHeatOnTop() {
    if (!this.data.layers.some(({ id }) => id === this.layer)) return;
    const order = this.map.getStyle().layers;
    if (!this.map.getLayer(HEAT)) this.showHeat();
    else if (order[order.length - 1].id !== HEAT) this.map.moveLayer(HEAT);
  }

  draw() {
    const { map, data } = this;
    if (!map) return;
    places.set(data.slide, { center: map.getCenter(), zoom: map.getZoom() });
    const per = this.pixelsPerScreenPixel;
    const box = map.getContainer().getBoundingClientRect();
    const [left, top] = this.toSlide(map.unproject([0, 0]));
    const factor = INSET_PX / Math.max(data.width, data.height);
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
    const readout = this.root.querySelector(".scale");
    if (!spacing) {
      this.bar.textContent = "no scale";
      readout.textContent = `${(100 / per).toFixed(per > 10 ? 1 : 0)} % of full size`;
      return;
    }
    const um = spacing * per;
    const power = 10 ** Math.floor(Math.log10(um * SCALE_BAR_PX));
    const length = [5, 2, 1].map((step) => step * power).find((step) => step <= um * SCALE_BAR_PX);
    const label = length >= 1000 ? `${length / 1000} mm` : `${length} µm`;
    this.bar.innerHTML = "";
    const line = document.createElement("div");
    line.style.cssText = `width:${length / um}px;height:4px;background:#1B2B34;margin-top:2px`;
    this.bar.append(label, line);
    const magnification = UM_TIMES_POWER / um;
    readout.textContent = `${magnification >= 10 ? magnification.toFixed(0) : magnification.toFixed(1)}× · ${um >= 10 ? um.toFixed(0) : um.toFixed(2)} µm/px`;
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
    button.textContent = wanted ? "Drag around it …" : "Draw region";
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
      Escape: () => this.startDrawing(false),
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
