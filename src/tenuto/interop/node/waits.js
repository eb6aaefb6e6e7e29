'use strict';
// Which waits for events are open, and the events that the host holds for those to come.

const WAIT_FOR_EVENT = 6;
const EVENT_RAISED = 15;

const SCRIPTS = [
    [0x80, 0x58f],
    [0x1e00, 0x1fff],
    [0xff00, 0xffef],
];

/** The same text for all names that are one for the host (`event_names` there says how). */
function eventKey(name) {
    let key = '';
    for (const character of name) key += capital(character);
    return key;
}

function capital(character) {
    const found = character.toUpperCase();
    if (character.codePointAt(0) < 0x80) return found;
    const isKnown = found.length === 1 && isOfScripts(character) && isOfScripts(found);
    return isKnown ? found : character;
}

function isOfScripts(character) {
    const code = character.codePointAt(0);
    return SCRIPTS.some(([first, last]) => first <= code && code <= last);
}

/** The waits of one execution, by name, the oldest first: events end them in this order. */
class OpenWaits {
    #known = 0;
    #open = new Map();

    /** Takes in the actions that are new in a list that only grows. */
    look(leaves) {
        for (; this.#known < leaves.length; this.#known += 1) {
            const { actionType, externalEventName } = leaves[this.#known];
            if (actionType !== WAIT_FOR_EVENT) continue;
            const key = eventKey(externalEventName);
            if (!this.#open.has(key)) this.#open.set(key, []);
            this.#open.get(key).push(externalEventName);
        }
    }

    /** The package was told these events of a history. */
    told(events) {
        for (const { EventType: type, Name: name } of events) {
            if (type === EVENT_RAISED && name !== undefined) this.end(name);
        }
    }

    isOpen(name) {
        return Boolean(this.#open.get(eventKey(name))?.length);
    }

    /** Ends the oldest wait of a name; the name as that wait spells it. */
    end(name) {
        return this.#open.get(eventKey(name))?.shift();
    }
}

/**
 * Feeds an executor those events that are held and waited for, until there is none.
 *
 * @param held as in the turn.
 * @param live `executor`, and `seen` and `waits` of its execution, up to what it has run through.
 * @param feed runs it through more events; its answer is that of the package.
 * @param fed gets the places of what was fed, as soon as it is.
 * @return the last answer; `undefined` when nothing was fed.
 */
async function feedHeld(held, { executor, seen, waits }, feed, fed) {
    let answer;
    while (!executor.isDoneExecuting()) {
        seen.take(executor.actions);
        waits.look(seen.leaves);
        const place = held.findIndex(({ name }, at) => !fed.includes(at) && waits.isOpen(name));
        if (place < 0) break;
        const { name, event } = held[place];
        fed.push(place);
        answer = await feed([{ ...event, Name: waits.end(name) }]);
    }
    return answer;
}

module.exports = { OpenWaits, eventKey, feedHeld };
