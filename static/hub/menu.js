// On a small screen the navigation folds behind one button; without this script it stays open.
const menu = document.querySelector(".hub-menu");
if (menu) {
  menu.closest("nav").classList.add("hub-folds");
  menu.addEventListener("click", () => {
    const isOpen = menu.getAttribute("aria-expanded") === "true";
    menu.setAttribute("aria-expanded", String(!isOpen));
  });
}
