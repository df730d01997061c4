// The player of a replay. `d` is the scene that render_page.py has written into the page, unpacked.

const $ = (id) => document.getElementById(id);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const PLAY = "M3 1v14l11-7z", PAUSE = "M3 2h4v12H3zM9 2h4v12H9z";
const SPEEDS = [0.125, 0.25, 0.5, 1, 2, 4, 8];
const ORDERS = ["goes on", "stops", "moves", "attacks", "heals"];

let d, ground;
const view = { time: 0, playing: false, speed: 1, labels: false, ranges: false, chosen: -1, hover: -1, x: 0, y: 0, scale: 1 };

async function unpack(text) {
  if (typeof DecompressionStream === "undefined") throw new Error("This browser is too old: it has no DecompressionStream.");
  const bytes = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const scene = JSON.parse(await new Response(stream).text());
  for (const [name, quantum] of Object.entries(scene.quanta)) {
    // rows of a unit's differences in time -> columns [frame][unit]
    const rows = scene[name], frames = rows.length ? rows[0].length : 0;
    const table = Array.from({ length: frames }, () => new Float32Array(rows.length));
    rows.forEach((row, u) => { let sum = 0; row.forEach((step, f) => { sum += step; table[f][u] = sum * quantum; }); });
    scene[name] = table;
  }
  return scene;
}

// --- time ------------------------------------------------------------------------------------------------------------

const duration = () => d.loops[d.loops.length - 1];
const stepNow = () => Math.min(Math.floor(view.time / d.step_mul + 1e-6), d.reward.length);

function frameAt(time) {
  let low = 0, high = d.loops.length - 1;
  while (low < high) { const middle = (low + high + 1) >> 1; if (d.loops[middle] <= time + 1e-6) low = middle; else high = middle - 1; }
  return low;
}

function moment(time) {
  const f = frameAt(time), g = Math.min(f + 1, d.loops.length - 1);
  const span = d.loops[g] - d.loops[f], part = span ? clamp((time - d.loops[f]) / span, 0, 1) : 0;
  const mix = (table, u) => table[f][u] + (table[g][u] - table[f][u]) * part;
  return {
    f, g, part, time,
    x: (u) => mix(d.x, u), y: (u) => mix(d.y, u), health: (u) => mix(d.health, u), shield: (u) => mix(d.shield, u),
    energy: (u) => mix(d.energy, u), alive: (u) => d.alive[f][u] > 0,
    facing: (u) => { const turn = d.facing[g][u] - d.facing[f][u]; return d.facing[f][u] + Math.atan2(Math.sin(turn), Math.cos(turn)) * part; },
  };
}

function seek(time) { view.time = clamp(time, 0, duration()); draw(); }
function setPlaying(on) {
  if (on && view.time >= duration()) view.time = 0;
  view.playing = on;
  $("play").querySelector("path").setAttribute("d", on ? PAUSE : PLAY);
  $("play").setAttribute("aria-label", on ? "Pause" : "Play");
  if (on) { last = performance.now(); requestAnimationFrame(tick); }
}
let last = 0;
function tick(now) {
  if (!view.playing) return;
  const passed = Math.min((now - last) / 1000, 0.25);
  last = now;
  view.time = Math.min(view.time + Math.max(passed, 0) * d.loops_per_second * view.speed, duration());
  draw();
  if (view.time >= duration()) setPlaying(false); else requestAnimationFrame(tick);
}
function setSpeed(speed) { view.speed = speed; $("speed").value = String(speed); }

// --- the field -------------------------------------------------------------------------------------------------------

function fit(canvas) {
  const ratio = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  const width = Math.max(Math.round(box.width * ratio), 1), height = Math.max(Math.round(box.height * ratio), 1);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [pen, box.width, box.height];
}
const sx = (x) => view.x + (x - d.box[0]) * view.scale, sy = (y) => view.y + (d.box[3] - y) * view.scale;
const side = (u) => (u < d.n_agents ? "ally" : "enemy");
const radius = (u) => d.kinds[u].radius * d.size * view.scale;
const colour = (name, u) => (name === "body" || name === "shade" ? d.teams[side(u)][name] : d.colours[name]);

function trace(pen, points, close) {
  pen.beginPath();
  for (let at = 0; at < points.length; at += 2) pen.lineTo(points[at], points[at + 1]);
  if (close) pen.closePath();
}
function drawShape(pen, u, x, y, r, facing) {
  pen.save();
  pen.translate(x, y); pen.scale(r, -r); pen.rotate(facing);
  pen.lineJoin = "round"; pen.lineCap = "round";
  const ink = Math.max(0.1, 0.8 / r);
  for (const part of d.shapes[d.units[u].type] || d.disc) {
    const [kind, name, ...rest] = part;
    if (kind === "line") {
      trace(pen, rest[1], false);
      pen.lineWidth = rest[0] + 2 * ink; pen.strokeStyle = d.colours.ink; pen.stroke();
      pen.lineWidth = rest[0]; pen.strokeStyle = colour(name, u); pen.stroke();
      continue;
    }
    if (kind === "disc") { pen.beginPath(); pen.arc(rest[0], rest[1], rest[2], 0, 2 * Math.PI); } else trace(pen, rest[0], true);
    if (name === "body" || name === "shade" || name === "metal") { pen.lineWidth = 2 * ink; pen.strokeStyle = d.colours.ink; pen.stroke(); }
    pen.fillStyle = colour(name, u); pen.fill();
  }
  pen.restore();
}
function drawBars(pen, m, u, x, y, r) {
  const unit = d.units[u], kind = d.kinds[u];
  const health = m.health(u) / unit.health_max, shield = unit.shield_max ? m.shield(u) / unit.shield_max : -1;
  const many = d.units.length > 16;
  if (many && health > 0.999 && (shield < 0 || shield > 0.999) && !kind.energy_max && u !== view.chosen) return;
  const width = clamp(r * 1.8, 11, 44), high = many ? 2.5 : 3.5, gap = high + 1;
  let top = y - r - 5 - (shield > 0 ? gap : 0) - (kind.energy_max ? gap : 0);
  const bar = (share, name) => {
    pen.fillStyle = d.colours.bar; pen.fillRect(x - width / 2 - 1, top - 1, width + 2, high + 2);
    pen.fillStyle = d.colours[name]; pen.fillRect(x - width / 2, top, width * clamp(share, 0, 1), high);
    top += gap;
  };
  if (shield > 0) bar(shield, "shield");
  bar(health, health > 0.4 ? "health" : "hurt");
  if (kind.energy_max) bar(m.energy(u) / kind.energy_max, "energy");
}
function drawUnit(pen, m, u) {
  const flying = d.kinds[u].flying, x = sx(m.x(u)), r = radius(u), y = sy(m.y(u)) - (flying ? 0.5 * r : 0);
  pen.fillStyle = "rgba(0,0,0,.35)";
  pen.beginPath(); pen.ellipse(x + r * 0.12, sy(m.y(u)) + r * (flying ? 0.75 : 0.18), r * 1.05, r * (flying ? 0.6 : 1), 0, 0, 2 * Math.PI); pen.fill();
  if (u < d.n_agents && !flying) {
    pen.strokeStyle = d.teams.ally.body; pen.globalAlpha = 0.55; pen.lineWidth = Math.max(1.2, r * 0.1);
    pen.beginPath(); pen.arc(x, y, r * 1.32, 0, 2 * Math.PI); pen.stroke(); pen.globalAlpha = 1;
  }
  drawShape(pen, u, x, y, flying ? r * 1.1 : r, m.facing(u));
  const before = d.health[m.f][u] + d.shield[m.f][u], after = d.health[m.g][u] + d.shield[m.g][u];
  if (after < before - 1) {
    pen.fillStyle = `rgba(255,255,255,${0.45 * (1 - m.part)})`; pen.beginPath(); pen.arc(x, y, r * 1.05, 0, 2 * Math.PI); pen.fill();
  }
  if (u === view.chosen || u === view.hover) {
    pen.strokeStyle = d.colours.text; pen.lineWidth = 1.5; pen.setLineDash([4, 3]);
    pen.beginPath(); pen.arc(x, y, r * 1.6, 0, 2 * Math.PI); pen.stroke(); pen.setLineDash([]);
  }
  if ((view.ranges || u === view.chosen) && d.kinds[u].range) {
    pen.strokeStyle = d.teams[side(u)].body; pen.globalAlpha = 0.35; pen.lineWidth = 1;
    pen.beginPath(); pen.arc(x, y, (d.kinds[u].range + d.kinds[u].radius) * view.scale, 0, 2 * Math.PI); pen.stroke(); pen.globalAlpha = 1;
  }
}
function drawOrder(pen, m, u) {
  const order = orderOf(u, m);
  if (!order || order.kind < 2) return;
  const tx = order.kind === 2 ? order.x : m.x(order.target), ty = order.kind === 2 ? order.y : m.y(order.target);
  pen.strokeStyle = d.colours.text; pen.globalAlpha = 0.6; pen.lineWidth = 1; pen.setLineDash([2, 4]);
  pen.beginPath(); pen.moveTo(sx(m.x(u)), sy(m.y(u))); pen.lineTo(sx(tx), sy(ty)); pen.stroke();
  pen.setLineDash([]); pen.beginPath(); pen.arc(sx(tx), sy(ty), 4, 0, 2 * Math.PI); pen.stroke(); pen.globalAlpha = 1;
}
function orderOf(u, m) {
  if (u >= d.n_agents || !d.reward.length || !m.alive(u)) return null;
  const t = Math.min(Math.floor(m.time / d.step_mul + 1e-6), d.reward.length - 1);
  return { kind: d.order_kind[t][u], target: d.order_target[t][u], x: d.order_x[t][u], y: d.order_y[t][u] };
}

function drawEvent(pen, m, [loop, loops, kind, u, v]) {
  const p = (m.time - loop) / loops;
  if (p < 0 || p >= 1) return;
  const s = view.scale, lift = (w) => (d.kinds[w].flying ? 0.5 * radius(w) : 0);
  const x0 = sx(m.x(u)), y0 = sy(m.y(u)) - lift(u), fade = 1 - p * p;
  pen.lineCap = "round";
  if (kind === "blast") return drawBlast(pen, x0, y0, (d.kinds[u].blast_radius || 2) * s, p);
  if (kind === "death") return drawDeath(pen, u, x0, y0, p);
  const x1 = sx(m.x(v)), y1 = sy(m.y(v)) - lift(v), way = Math.hypot(x1 - x0, y1 - y0) || 1, ux = (x1 - x0) / way, uy = (y1 - y0) / way;
  if (kind === "shot") {
    const r = radius(u), from = Math.min(r * 1.4, way);
    pen.strokeStyle = d.colours.shot; pen.globalAlpha = fade; pen.lineWidth = Math.max(1.2, 0.07 * s);
    pen.beginPath(); pen.moveTo(x0 + ux * from, y0 + uy * from); pen.lineTo(x1, y1); pen.stroke();
    pen.fillStyle = d.colours.shot;
    for (const [x, y, size] of [[x0 + ux * from, y0 + uy * from, 0.17], [x1 - ux * radius(v), y1 - uy * radius(v), 0.12]]) { pen.beginPath(); pen.arc(x, y, size * s, 0, 2 * Math.PI); pen.fill(); }
  } else if (kind === "melee") {
    const angle = Math.atan2(uy, ux), x = x1 - ux * radius(v) * 0.4, y = y1 - uy * radius(v) * 0.4;
    pen.strokeStyle = d.colours.melee; pen.globalAlpha = 0.9 * fade; pen.lineWidth = Math.max(1.2, 0.08 * s);
    pen.beginPath(); pen.arc(x - ux * 0.3 * s, y - uy * 0.3 * s, 0.5 * s, angle - 0.9 + 0.5 * p, angle + 0.4 + 0.5 * p); pen.stroke();
  } else if (kind === "missile") drawMissile(pen, u, x0, y0, x1, y1, p);
  else if (kind === "beam") {
    const half = (d.kinds[u].beam_half || 1.25) * s, at = p < 0.5 ? 4 * p - 1 : 3 - 4 * p;
    const bx = x1 - uy * half * at, by = y1 + ux * half * at;
    pen.strokeStyle = d.colours.beam; pen.globalAlpha = 0.35; pen.lineWidth = 0.3 * s;
    pen.beginPath(); pen.moveTo(x1 - uy * half, y1 + ux * half); pen.lineTo(x1 + uy * half, y1 - ux * half); pen.stroke();
    pen.globalAlpha = 0.95; pen.lineWidth = Math.max(1.5, 0.09 * s);
    for (const off of [-0.22, 0.22]) { pen.beginPath(); pen.moveTo(x0 - uy * off * s, y0 + ux * off * s); pen.lineTo(bx, by); pen.stroke(); }
    pen.fillStyle = d.colours.shot; pen.beginPath(); pen.arc(bx, by, 0.16 * s, 0, 2 * Math.PI); pen.fill();
  }
  pen.globalAlpha = 1;
}
function drawMissile(pen, u, x0, y0, x1, y1, p) {
  const s = view.scale, tint = d.colours["missile_" + d.kinds[u].race];
  if (d.units[u].type === "SpineCrawler") {
    const out = p < 0.7 ? p / 0.7 : (1 - p) / 0.3;
    pen.strokeStyle = tint; pen.globalAlpha = 0.9; pen.lineWidth = 0.16 * s;
    pen.beginPath(); pen.moveTo(x0, y0); pen.lineTo(x0 + (x1 - x0) * out, y0 + (y1 - y0) * out); pen.stroke();
    return;
  }
  const x = x0 + (x1 - x0) * p, y = y0 + (y1 - y0) * p, tail = Math.max(p - 0.25, 0);
  pen.strokeStyle = pen.fillStyle = tint; pen.globalAlpha = 0.45; pen.lineWidth = 0.13 * s;
  pen.beginPath(); pen.moveTo(x0 + (x1 - x0) * tail, y0 + (y1 - y0) * tail); pen.lineTo(x, y); pen.stroke();
  pen.globalAlpha = 1; pen.beginPath(); pen.arc(x, y, 0.17 * s, 0, 2 * Math.PI); pen.fill();
}
function drawBlast(pen, x, y, r, p) {
  const grown = r * Math.min(1, 0.35 + 2.2 * p);
  pen.fillStyle = pen.strokeStyle = d.colours.blast;
  pen.globalAlpha = 0.3 * (1 - p); pen.beginPath(); pen.arc(x, y, grown, 0, 2 * Math.PI); pen.fill();
  pen.globalAlpha = 0.9 * (1 - p); pen.lineWidth = 2; pen.stroke();
  for (let k = 0; k < 7; k++) { pen.beginPath(); pen.arc(x + Math.cos(k * 2.4) * grown * 0.75, y + Math.sin(k * 2.4) * grown * 0.75, r * 0.06, 0, 2 * Math.PI); pen.fill(); }
  pen.globalAlpha = 1;
}
function drawDeath(pen, u, x, y, p) {
  const r = radius(u);
  pen.strokeStyle = d.teams[side(u)].body; pen.globalAlpha = 0.9 * (1 - p); pen.lineWidth = Math.max(1.5, r * 0.22 * (1 - p));
  pen.beginPath(); pen.arc(x, y, r * (1 + 1.6 * p), 0, 2 * Math.PI); pen.stroke();
  pen.fillStyle = d.colours.death; pen.globalAlpha = 0.7 * Math.max(0, 1 - 3 * p); pen.beginPath(); pen.arc(x, y, r * 1.2, 0, 2 * Math.PI); pen.fill();
  for (let k = 0; k < 6; k++) {
    const a = k * 1.047 + u, l = r * (0.5 + 2 * p);
    pen.globalAlpha = 0.8 * (1 - p); pen.fillStyle = d.teams[side(u)].body;
    pen.beginPath(); pen.arc(x + Math.cos(a) * l, y + Math.sin(a) * l, r * 0.16 * (1 - p), 0, 2 * Math.PI); pen.fill();
  }
  pen.globalAlpha = 1;
}
function drawGrave(pen, m, u) {
  const x = sx(m.x(u)), y = sy(m.y(u)), r = radius(u) * 0.5;
  pen.strokeStyle = d.teams[side(u)].body; pen.globalAlpha = 0.38; pen.lineWidth = Math.max(1.2, r * 0.3); pen.lineCap = "round";
  pen.beginPath(); pen.moveTo(x - r, y - r); pen.lineTo(x + r, y + r); pen.moveTo(x - r, y + r); pen.lineTo(x + r, y - r); pen.stroke();
  pen.globalAlpha = 1;
}
function drawHeals(pen, m) {
  const lift = (w) => (d.kinds[w].flying ? 0.5 * radius(w) : 0);
  for (const [frame, u, v] of d.heals) {
    if (frame !== m.g) continue;
    const x0 = sx(m.x(u)), y0 = sy(m.y(u)) - lift(u), x1 = sx(m.x(v)), y1 = sy(m.y(v)) - lift(v);
    pen.strokeStyle = d.colours.heal; pen.lineCap = "round"; pen.globalAlpha = 0.25; pen.lineWidth = 0.34 * view.scale;
    pen.beginPath(); pen.moveTo(x0, y0); pen.lineTo(x1, y1); pen.stroke();
    pen.globalAlpha = 0.95; pen.lineWidth = Math.max(1.5, 0.08 * view.scale); pen.setLineDash([5, 5]); pen.lineDashOffset = -m.time * 3; pen.stroke(); pen.setLineDash([]);
    const r = 0.22 * view.scale, top = y1 - radius(v) * 0.2;
    pen.beginPath(); pen.moveTo(x1 - r, top); pen.lineTo(x1 + r, top); pen.moveTo(x1, top - r); pen.lineTo(x1, top + r); pen.lineWidth = 0.12 * view.scale; pen.stroke();
    pen.globalAlpha = 1;
  }
}
function drawField(m) {
  const [pen, width, height] = fit($("field"));
  const columns = d.box[2] - d.box[0], rows = d.box[3] - d.box[1];
  view.scale = Math.min(width / columns, height / rows);
  view.x = (width - columns * view.scale) / 2; view.y = (height - rows * view.scale) / 2;
  pen.fillStyle = d.colours.void; pen.fillRect(0, 0, width, height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(ground, sx(0), sy(d.extent[1]), d.extent[0] * view.scale, d.extent[1] * view.scale);
  const all = d.units.map((_, u) => u), living = all.filter((u) => m.alive(u));
  for (const u of all) if (!m.alive(u)) drawGrave(pen, m, u);
  const low = living.filter((u) => !d.kinds[u].flying).sort((a, b) => d.kinds[a].radius - d.kinds[b].radius || m.y(b) - m.y(a));
  const high = living.filter((u) => d.kinds[u].flying);
  for (const u of low) drawUnit(pen, m, u);
  for (const e of d.events) if (e[0] <= m.time && m.time < e[0] + e[1]) drawEvent(pen, m, e);
  drawHeals(pen, m);
  for (const u of high) drawUnit(pen, m, u);
  if (view.chosen >= 0) drawOrder(pen, m, view.chosen);
  for (const u of living) {
    const r = radius(u), x = sx(m.x(u)), y = sy(m.y(u)) - (d.kinds[u].flying ? 0.5 * r : 0);
    drawBars(pen, m, u, x, y, r);
    if (view.labels && u < d.n_agents) {
      pen.font = "600 11px system-ui, sans-serif"; pen.textAlign = "center"; pen.lineWidth = 3; pen.strokeStyle = d.colours.ink; pen.fillStyle = d.colours.text;
      pen.strokeText(u, x, y + 4); pen.fillText(u, x, y + 4);
    }
  }
}

// --- round the field -------------------------------------------------------------------------------------------------

function drawLine() {
  const [pen, width, height] = fit($("line").querySelector("canvas"));
  pen.clearRect(0, 0, width, height);
  const base = height - 12, top = 10, at = (loop) => (duration() ? (loop / duration()) * width : 0);
  const values = d.returns, low = Math.min(0, ...values), high = Math.max(...values, low + 1e-9);
  const level = (value) => base - ((value - low) / (high - low)) * (base - top);
  const path = (until) => {
    pen.beginPath(); pen.moveTo(0, level(0));
    values.forEach((value, k) => { const x = at(k * d.step_mul); if (x <= until + 0.5) { pen.lineTo(x, level(values[Math.max(k - 1, 0)])); pen.lineTo(x, level(value)); } });
  };
  pen.fillStyle = d.colours.line; pen.fillRect(0, base, width, 2);
  const now = at(view.time);
  path(width); pen.strokeStyle = d.colours.curve; pen.globalAlpha = 0.4; pen.lineWidth = 1.5; pen.stroke();
  path(now); pen.lineTo(now, level(values[stepNow()])); pen.globalAlpha = 1; pen.stroke();
  pen.lineTo(now, base); pen.lineTo(0, base); pen.globalAlpha = 0.18; pen.fillStyle = d.colours.curve; pen.fill(); pen.globalAlpha = 1;
  for (const [loop, , kind, u] of d.events) if (kind === "death" || kind === "blast") {
    pen.fillStyle = d.teams[side(u)].body; pen.fillRect(at(loop) - 1, u < d.n_agents ? base - 1 : base + 5, 2, 6);
  }
  pen.fillStyle = d.colours.text; pen.fillRect(now - 1, 0, 2, height);
  pen.font = "11px system-ui, sans-serif"; pen.fillStyle = d.colours.muted; pen.fillText("return " + values[stepNow()].toFixed(2), 6, 11);
}
function describe(u, m) {
  const unit = d.units[u], lines = [`${unit.type} ${u < d.n_agents ? "(agent " + u + ")" : "(enemy " + (u - d.n_agents) + ")"}`];
  if (!m.alive(u)) return lines.concat("dead").join("\n");
  lines.push(`health ${m.health(u).toFixed(0)} / ${unit.health_max}`);
  if (unit.shield_max) lines.push(`shield ${m.shield(u).toFixed(0)} / ${unit.shield_max}`);
  if (d.kinds[u].energy_max) lines.push(`energy ${m.energy(u).toFixed(0)} / ${d.kinds[u].energy_max}`);
  const order = orderOf(u, m);
  if (order) {
    const whom = order.kind < 3 ? "" : order.target < d.n_agents ? ` agent ${order.target}` : ` enemy ${order.target - d.n_agents}`;
    const where = order.kind === 2 ? " " + (Math.abs(order.x - m.x(u)) > Math.abs(order.y - m.y(u)) ? (order.x > m.x(u) ? "east" : "west") : order.y > m.y(u) ? "north" : "south") : "";
    lines.push(ORDERS[order.kind] + whom + where);
  } else if (d.target[m.f][u] >= 0) lines.push(`attacks ${d.target[m.f][u] < d.n_agents ? "agent " + d.target[m.f][u] : "enemy " + (d.target[m.f][u] - d.n_agents)}`);
  return lines.join("\n");
}
function drawPanels(m) {
  const sums = [[0, 0, 0], [0, 0, 0]];
  d.units.forEach((unit, u) => {
    const s = sums[u < d.n_agents ? 0 : 1], alive = m.alive(u);
    s[0] += alive ? 1 : 0; s[1] += alive ? m.health(u) + m.shield(u) : 0; s[2] += unit.health_max + unit.shield_max;
    const chip = chips[u];
    chip.classList.toggle("dead", !alive); chip.classList.toggle("chosen", u === view.chosen);
    chip.bars[0].style.width = alive ? (100 * m.health(u)) / unit.health_max + "%" : "0";
    if (chip.bars[1]) chip.bars[1].style.width = alive ? (100 * m.shield(u)) / unit.shield_max + "%" : "0";
  });
  sums.forEach((s, k) => { $("count" + k).textContent = s[0]; $("bar" + k).style.width = (100 * s[1]) / s[2] + "%"; });
  const steps = d.start_step + stepNow();
  $("clock").innerHTML = `step <b>${steps}</b> / ${d.start_step + d.reward.length} &nbsp; return <b>${d.returns[stepNow()].toFixed(2)}</b>`;
  const tip = $("tip"), u = view.hover >= 0 ? view.hover : view.chosen;
  if (u >= 0) {
    tip.textContent = describe(u, m); tip.style.display = "block";
    tip.style.left = clamp(sx(m.x(u)) + 1.7 * radius(u) + 8, 4, $("stage").clientWidth - tip.offsetWidth - 4) + "px";
    tip.style.top = clamp(sy(m.y(u)) - 20, 4, $("stage").clientHeight - tip.offsetHeight - 4) + "px";
  } else tip.style.display = "none";
  $("banner").classList.toggle("shown", view.time >= duration());
}
let chips = [];
function buildPanels() {
  $("title").textContent = d.map.name;
  const small = document.createElement("small");
  small.textContent = `episode ${d.episode} · ${d.map.profile} ${d.map.build} · skirmish ${d.map.engine_version}`;
  $("title").append(small);
  for (const k of [0, 1]) { const h = document.createElement("h2"); h.textContent = k ? "Enemies" : "Agents"; $("side" + k).append(h); }
  chips = d.units.map((unit, u) => {
    const chip = document.createElement("button"), icon = document.createElement("canvas"), text = document.createElement("span");
    chip.className = "chip"; icon.width = icon.height = 48; icon.style.width = icon.style.height = "24px";
    drawShape(icon.getContext("2d"), u, 24, 24, unit.type === "Colossus" ? 16 : 15, 0);
    text.innerHTML = '<span class="name"></span><span class="life"><i></i></span>' + (unit.shield_max ? '<span class="life shield"><i></i></span>' : "");
    text.querySelector(".name").textContent = `${u < d.n_agents ? u : u - d.n_agents} ${unit.type}`;
    chip.append(icon, text); chip.bars = text.querySelectorAll("i");
    chip.onclick = () => { view.chosen = view.chosen === u ? -1 : u; draw(); };
    $(u < d.n_agents ? "side0" : "side1").append(chip);
    return chip;
  });
  const banner = $("banner");
  banner.classList.add(d.result.won ? "won" : "lost");
  banner.querySelector("strong").textContent = d.headline;
  banner.querySelector("span").textContent = d.summary;
}
function draw() {
  const m = moment(view.time);
  drawField(m); drawLine(); drawPanels(m);
  const scrub = $("scrub");
  scrub.value = view.time;
  scrub.setAttribute("aria-valuetext", `step ${stepNow()} of ${d.reward.length}`);
}

// --- the hands -------------------------------------------------------------------------------------------------------

function unitAt(event) {
  const box = $("field").getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top, m = moment(view.time);
  let best = -1, least = Infinity;
  d.units.forEach((_, u) => {
    const far = Math.hypot(sx(m.x(u)) - x, sy(m.y(u)) - y);
    if (m.alive(u) && far < Math.max(radius(u) * 1.5, 10) && far < least) { best = u; least = far; }
  });
  return best;
}
const move = (steps) => { setPlaying(false); seek((steps > 0 ? Math.floor(view.time / d.step_mul + 1e-6) : Math.ceil(view.time / d.step_mul - 1e-6)) * d.step_mul + steps * d.step_mul); };
const moveFrame = (by) => { setPlaying(false); const f = frameAt(view.time); seek(d.loops[clamp(by < 0 && d.loops[f] < view.time - 1e-6 ? f : f + by, 0, d.loops.length - 1)]); };
const toggle = (name) => { view[name] = !view[name]; $(name).checked = view[name]; draw(); };
const KEYS = {
  " ": () => setPlaying(!view.playing), k: () => setPlaying(!view.playing),
  ArrowLeft: () => move(-1), ArrowRight: () => move(1), ",": () => moveFrame(-1), ".": () => moveFrame(1),
  Home: () => { setPlaying(false); seek(0); }, End: () => { setPlaying(false); seek(duration()); },
  ArrowUp: () => setSpeed(SPEEDS[Math.min(SPEEDS.indexOf(view.speed) + 1, SPEEDS.length - 1)]),
  ArrowDown: () => setSpeed(SPEEDS[Math.max(SPEEDS.indexOf(view.speed) - 1, 0)]),
  n: () => toggle("labels"), r: () => toggle("ranges"), Escape: () => { view.chosen = -1; draw(); },
};
function listen() {
  for (const [id, act] of [["play", " "], ["first", "Home"], ["last", "End"], ["back", "ArrowLeft"], ["next", "ArrowRight"]]) $(id).onclick = KEYS[act];
  $("speed").onchange = (event) => { setSpeed(Number(event.target.value)); event.target.blur(); };
  for (const name of ["labels", "ranges"]) $(name).onchange = (event) => { view[name] = event.target.checked; event.target.blur(); draw(); };
  $("scrub").oninput = (event) => { setPlaying(false); seek(Number(event.target.value)); };
  $("field").onmousemove = (event) => { const u = unitAt(event); if (u !== view.hover) { view.hover = u; draw(); } };
  $("field").onmouseleave = () => { view.hover = -1; draw(); };
  $("field").onclick = (event) => { view.chosen = unitAt(event); draw(); };
  document.addEventListener("keydown", (event) => {
    const act = KEYS[event.key];
    const own = event.target.tagName === "SELECT" || (event.key === " " && event.target.tagName === "BUTTON") || (event.key === " " && event.target.type === "checkbox");
    if (!act || own || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault(); act();
  });
  new ResizeObserver(draw).observe($("stage"));
}

async function start() {
  d = await unpack($("data").textContent);
  ground = new Image();
  ground.src = d.ground;
  await ground.decode();
  for (const speed of SPEEDS) $("speed").add(new Option(speed + "×", String(speed)));
  setSpeed(1);
  $("scrub").max = duration();
  view.labels = $("labels").checked = d.n_agents <= 12;
  buildPanels(); listen(); setPlaying(false);
  const asked = /^#step=(\d+(\.\d+)?)$/.exec(location.hash);
  seek(asked ? (Number(asked[1]) - d.start_step) * d.step_mul : 0);
  document.body.dataset.ready = "yes";
  if (!asked && !matchMedia("(prefers-reduced-motion: reduce)").matches) setPlaying(true);
}
start().catch((error) => {
  const words = document.createElement("p");
  words.id = "problem";
  words.textContent = "This replay cannot be shown: " + error.message;
  document.querySelector("main").replaceWith(words);
});
