// mdBook takes every link to a Markdown file for one to a page of the book. Those to files beside `docs/` are not.
for (const link of document.querySelectorAll('main a[href]')) {
    const root = new URL(path_to_root || './', location.href).href;
    if (!link.href.startsWith(root) && link.protocol === location.protocol && link.host === location.host) {
        link.href = link.href.replace(/\.html(#|$)/, '.md$1');
    }
}
