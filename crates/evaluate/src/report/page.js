"use strict";
for (const slider of document.querySelectorAll(".slider")) {
  const input = slider.querySelector("input");
  input.addEventListener("input", () => slider.style.setProperty("--at", input.value + "%"));
}
const main = document.querySelector("main");
const turn = document.getElementById("turn");
turn.addEventListener("click", () => {
  main.append(...[...main.children].reverse());
  turn.textContent = turn.textContent === "Best first" ? "Worst first" : "Best first";
});
const body = document.querySelector("#figures tbody");
document.querySelectorAll("#figures th").forEach((head, column) => {
  let sign = 1;
  head.addEventListener("click", () => {
    const key = (row) => Number(column === 0 ? row.cells[0].dataset.order : row.cells[column].textContent);
    body.append(...[...body.rows].sort((a, b) => sign * (key(a) - key(b))));
    sign = -sign;
  });
});
