/* Keeps elements with data-refresh-seconds up to date: the page is fetched again and the element of the same id put in
   its place, until the server no longer asks for it. Nothing happens while the page is hidden or being worked in. */
"use strict";

(function () {
    function isBusy(element) {
        const selection = window.getSelection();
        const isSelecting = selection && !selection.isCollapsed && element.contains(selection.anchorNode);
        return document.hidden || isSelecting || element.contains(document.activeElement);
    }

    function replace(element, page) {
        const fresh = page.getElementById(element.id);
        if (!fresh) {
            return;
        }
        for (const details of element.querySelectorAll("details[id]")) {
            const same = fresh.querySelector("#" + CSS.escape(details.id));
            if (same) {
                same.open = details.open;
            }
        }
        element.replaceWith(fresh);
    }

    async function refresh(id) {
        const element = document.getElementById(id);
        if (element && !isBusy(element)) {
            try {
                const answer = await fetch(window.location.href);
                if (answer.ok && !answer.redirected) {
                    replace(element, new DOMParser().parseFromString(await answer.text(), "text/html"));
                }
            } catch (error) {
                // The server is away for a moment; the next turn tries again.
            }
        }
        schedule(document.getElementById(id));
    }

    function schedule(element) {
        if (element && element.dataset.refreshSeconds) {
            window.setTimeout(refresh, Number(element.dataset.refreshSeconds) * 1000, element.id);
        }
    }

    document.addEventListener("DOMContentLoaded", function () {
        document.querySelectorAll("[data-refresh-seconds][id]").forEach(schedule);
    });
})();
