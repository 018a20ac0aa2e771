"use strict";
// Draws every chart from the data beside it; `ast` keeps the expressions out of eval().
for (const holder of document.querySelectorAll(".chart")) {
  const spec = JSON.parse(document.getElementById(holder.dataset.spec).textContent);
  const options = {
    actions: false,
    ast: true,
    defaultStyle: false,
    renderer: "svg",
    tooltip: { disableDefaultStyle: true },
  };
  window.vegaEmbed(holder, spec, options).catch((error) => {
    holder.textContent = `This picture could not be drawn: ${error.message}`;
  });
}
