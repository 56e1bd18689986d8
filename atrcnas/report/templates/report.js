"use strict";
const tip = document.getElementById("tip");
const cells = [...document.querySelectorAll(".cell")];

function point(cell) {
  const said = document.getElementById(cell.dataset.pair).querySelector(".said");
  tip.replaceChildren(...[...said.childNodes].map((node) => node.cloneNode(true)));
  tip.hidden = false;
  const at = cell.getBoundingClientRect();
  const left = Math.min(at.left, window.innerWidth - tip.offsetWidth - 8);
  const below = at.bottom + 8;
  const fits = below + tip.offsetHeight < window.innerHeight;
  tip.style.left = `${Math.max(left, 8)}px`;
  tip.style.top = `${fits ? below : Math.max(at.top - tip.offsetHeight - 8, 8)}px`;
}

function show(cell) {
  const run = cell.closest("article");
  for (const other of run.querySelectorAll(".cell")) {
    other.setAttribute("aria-expanded", String(other === cell));
    document.getElementById(other.dataset.pair).hidden = other !== cell;
  }
  tip.hidden = true;
  history.replaceState(null, "", `#${cell.dataset.pair}`);
  document.getElementById(cell.dataset.pair).scrollIntoView({ block: "nearest" });
}

for (const cell of cells) {
  cell.addEventListener("mouseenter", () => point(cell));
  cell.addEventListener("focus", () => point(cell));
  cell.addEventListener("mouseleave", () => { tip.hidden = true; });
  cell.addEventListener("blur", () => { tip.hidden = true; });
  cell.addEventListener("click", () => show(cell));
}
window.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
const named = cells.find((cell) => `#${cell.dataset.pair}` === location.hash);
if (named) show(named);
