// The roofline of this machine: two straight lines on log axes, and where our own work sits under them.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("roofline");
  if (!place || !window.uPlot) return;
  const roofline = JSON.parse(place.dataset.roofline);
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = (label) => ({
    label, stroke: colour("--faint"), labelFont: "13px system-ui", labelSize: 26,
    grid: { stroke: colour("--line"), width: 0.5 }, ticks: { stroke: colour("--line"), width: 0.5 },
  });

  /** Each point's number or letter, as in the tables below the chart. */
  function number(chart) {
    const pen = chart.ctx, scale = window.devicePixelRatio || 1;
    pen.save();
    pen.font = `600 ${13 * scale}px system-ui`;
    pen.fillStyle = colour("--ink");
    pen.textAlign = "center";
    roofline.points.forEach((point, index) => {
      pen.fillText(String(index + 1), chart.valToPos(point.x, "x", true) + 12 * scale, chart.valToPos(point.y, "y", true) + 18 * scale);
    });
    pen.fillStyle = colour("--seal");
    roofline.measured.forEach((point) => {
      pen.fillText(point.letter, chart.valToPos(point.x, "x", true) - 11 * scale, chart.valToPos(point.y, "y", true) + 4 * scale);
    });
    pen.restore();
  }

  const width = () => Math.max(280, Math.min(place.clientWidth, 940));
  const dot = (point) => ({
    label: point.name, stroke: colour("--good"), width: 0,
    points: { show: true, size: 9, fill: colour("--good") },
  });
  const measured = (point) => ({
    label: point.name, stroke: colour("--seal"), width: 0,
    points: { show: true, size: 8, width: 2, fill: colour("--card") },
  });
  const at = (point) => roofline.x.map((x) => (x === point.x ? point.y : null));
  const chart = new window.uPlot({
    width: width(),
    height: 340,
    scales: { x: { time: false, distr: 3 }, y: { distr: 3 } },
    axes: [axis(place.dataset.x), axis(place.dataset.y)],
    series: [{}, { label: roofline.roof_name, stroke: colour("--seal"), width: 2.5, points: { show: false } },
      ...roofline.points.map(dot), ...roofline.measured.map(measured)],
    legend: { show: false },
    cursor: { show: false },
    hooks: { draw: [number] },
  }, [roofline.x, roofline.roof, ...roofline.points.map(at), ...roofline.measured.map(at)], place);
  window.addEventListener("resize", () => chart.setSize({ width: width(), height: 340 }));
});
