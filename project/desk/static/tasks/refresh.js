/* Keeps elements with data-refresh-seconds up to date: the page is fetched again and the element of the same id is made
   like it, piece by piece, until the server no longer asks for it. What has the focus keeps it, what is open or scrolled
   stays so, and the part in which text is selected waits. A note above the element says how old it is. */
"use strict";

(function () {
    const notes = new Map();

    /* What tells an element from its siblings: a link that leads elsewhere is another link. */
    function keyOf(node) {
        if (node.nodeType !== Node.ELEMENT_NODE) {
            return node.nodeName;
        }
        return [node.nodeName, node.id || node.dataset.key || "", node.getAttribute("href") || ""].join(" ");
    }

    function isSelectedIn(node) {
        const selection = window.getSelection();
        return Boolean(selection && !selection.isCollapsed && selection.rangeCount
            && selection.getRangeAt(0).intersectsNode(node));
    }

    function copyAttributes(node, fresh) {
        for (const { name } of [...node.attributes]) {
            if (!fresh.hasAttribute(name) && name !== "open") {
                node.removeAttribute(name);
            }
        }
        for (const { name, value } of fresh.attributes) {
            if (node.getAttribute(name) !== value && name !== "open") {
                node.setAttribute(name, value);
            }
        }
    }

    function copyChildren(node, fresh) {
        let next = node.firstChild;
        let areAllCopied = true;
        for (const wanted of [...fresh.childNodes]) {
            let same = next;
            while (same && keyOf(same) !== keyOf(wanted)) {
                same = same.nextSibling;
            }
            if (!same) {
                node.insertBefore(document.importNode(wanted, true), next);
                continue;
            }
            if (same === next) {
                next = next.nextSibling;
            } else {
                node.insertBefore(same, next);
            }
            areAllCopied = copy(same, wanted) && areAllCopied;
        }
        while (next) {
            const gone = next;
            next = next.nextSibling;
            gone.remove();
        }
        return areAllCopied;
    }

    /* Returns whether everything was copied. */
    function copy(node, fresh) {
        if (node.nodeType !== Node.ELEMENT_NODE) {
            if (node.data !== fresh.data) {
                node.data = fresh.data;
            }
            return true;
        }
        if (node.matches("section, p, ul, .run-tiles") && isSelectedIn(node)) {
            return false;
        }
        copyAttributes(node, fresh);
        return copyChildren(node, fresh);
    }

    function update(element, page) {
        const fresh = page.getElementById(element.id);
        if (!fresh) {
            return say(element, "the page has changed. Load it again.");
        }
        const focused = element.contains(document.activeElement) ? document.activeElement : null;
        const areAllCopied = copy(element, fresh);
        if (focused && focused.isConnected && focused !== document.activeElement) {
            focused.focus({ preventScroll: true });
        }
        if (areAllCopied) {
            notes.get(element.id).since = new Date();
        }
        say(element, areAllCopied ? "" : "the part in which you have selected text waits until you let it go.");
    }

    /* Says since when the element is as it is and, if it is not up to date, why. */
    function say(element, why) {
        const note = notes.get(element.id);
        const since = note.since.toLocaleTimeString();
        note.paragraph.hidden = !element.dataset.refreshSeconds;
        note.paragraph.textContent = why ? `Not up to date since ${since}: ${why}` : `Up to date at ${since}.`;
        note.paragraph.classList.toggle("run-alarm", Boolean(why));
    }

    async function refresh(id) {
        const element = document.getElementById(id);
        if (element && !document.hidden) {
            try {
                const answer = await fetch(window.location.href);
                if (answer.redirected) {
                    say(element, "you are signed out, or may no longer see this. Load the page again.");
                } else if (answer.ok) {
                    update(element, new DOMParser().parseFromString(await answer.text(), "text/html"));
                } else {
                    say(element, `the server answers ${answer.status}. Trying again.`);
                }
            } catch (error) {
                say(element, "the server does not answer. Trying again.");
            }
        }
        schedule(document.getElementById(id));
    }

    function schedule(element) {
        if (element && element.dataset.refreshSeconds) {
            window.setTimeout(refresh, Number(element.dataset.refreshSeconds) * 1000, element.id);
        }
    }

    function start(element) {
        const paragraph = document.createElement("p");
        paragraph.className = "run-fresh run-quiet";
        element.before(paragraph);
        notes.set(element.id, { paragraph: paragraph, since: new Date() });
        say(element, "");
        schedule(element);
    }

    document.addEventListener("DOMContentLoaded", function () {
        document.querySelectorAll("[data-refresh-seconds][id]").forEach(start);
    });
})();
