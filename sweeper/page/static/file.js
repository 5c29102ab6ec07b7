"use strict";
/* Begins the page that is one file: the study and its pictures are in it. */
{
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const thumbnails = read("pictures");
  Page.pictures.thumbnail = (path) => (thumbnails[path] ? `data:image/webp;base64,${thumbnails[path]}` : null);
  Page.store.study = read("study");
  const said = document.getElementById("said").textContent;
  Page.hooks.above = () => (said ? [Page.el("p", { class: "said" }, said)] : []);
  if (location.hash === "#wall") Page.store.view = "wall";
  Page.drawStudy();
}
