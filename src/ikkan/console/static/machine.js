// The roofline of this machine: two straight lines on log axes, and where our own work sits under them.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("roofline");
  if (!place || !window.uPlot) return;
  const roofline = JSON.parse(place.dataset.roofline);
  const ink = getComputedStyle(document.documentElement);
  const colour = (name) => ink.getPropertyValue(name).trim();
  const axis = (label) => ({ label, stroke: colour("--faint"), grid: { stroke: colour("--line") }, ticks: { stroke: colour("--line") } });
  const chart = new window.uPlot({
    width: Math.min(place.clientWidth, 940),
    height: 340,
    scales: { x: { time: false, distr: 3 }, y: { distr: 3 } },
    axes: [axis(place.dataset.x), axis(place.dataset.y)],
    series: [{}, { label: roofline.roof_name, stroke: colour("--seal"), width: 2.5, points: { show: false } },
      ...roofline.points.map((point) => ({ label: point.name, stroke: colour("--good"), width: 0, points: { show: true, size: 9, fill: colour("--good") } }))],
    legend: { show: roofline.points.length > 0 },
  }, [roofline.x, roofline.roof, ...roofline.points.map((point) => roofline.x.map((x) => (x === point.x ? point.y : null)))], place);
  window.addEventListener("resize", () => chart.setSize({ width: Math.min(place.clientWidth, 940), height: 340 }));
});
