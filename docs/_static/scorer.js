/* The order of search results: what is explained first, what is internal or measured last. */
var Scorer = {
  score: ([docname, title, anchor, descr, score, filename, kind]) => {
    const places = [
      [/^(start|guide\/)/, 4],
      [/^(catalogue|explained|gallery)\//, 2],
      [/^(changelog|contributing|coming_from_pylops|parameters)$/, -2],
      [/^api\/(generated\/)?torchlops\.optimization\.(krylov|sparse|cls_\w+|basesolver|callback|solver)\b/, -9],
      [/^api\/(generated\/)?torchlops\.(attributes|compat|testing|utils\.(backend|decorators|deps|multiproc))\b/, -14],
      [/^measurements\//, -14],
    ];
    const isMember = kind === "object" && docname.startsWith("api/generated/") && !docname.endsWith(anchor);
    const isPageOfName = kind === "title" && docname.startsWith("api/generated/");
    return places.reduce(
      (sum, [place, bonus]) => sum + (place.test(docname) ? bonus : 0),
      score + (isPageOfName ? 6 : isMember ? -12 : 0),
    );
  },

  // what Sphinx has by itself
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
