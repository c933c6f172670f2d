// Names for screen readers where the admin's own fields have none: the boxes that stand for a
// select, and the search field.
function nameFields() {
  for (const select of document.querySelectorAll("select.select2-hidden-accessible")) {
    const label = document.querySelector(`label[for="${select.id}"]`);
    const name = label ? label.textContent.trim() : select.name;
    const box = select.nextElementSibling;
    for (const part of box.querySelectorAll("[role=combobox], [role=textbox]")) {
      part.removeAttribute("aria-labelledby");
      part.setAttribute("aria-label", name);
    }
  }
  const search = document.getElementById("searchbar");
  const button = document.querySelector("#changelist-search [type=submit]");
  if (search && button) search.setAttribute("aria-label", button.value);
}

// The boxes come some time after the page, and again with each new line of a form.
new MutationObserver(nameFields).observe(document, { childList: true, subtree: true });
document.addEventListener("DOMContentLoaded", nameFields);
