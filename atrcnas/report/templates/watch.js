setInterval(async () => {
  const answer = await fetch("/stamp", { cache: "no-store" }).catch(() => null);
  if (answer && answer.ok && (await answer.text()) !== document.documentElement.dataset.stamp) location.reload();
}, 2000);
