'use strict';
// The actions of an execution, each once, in the order in which they were first seen.

const TIMER = 5;

/**
 * Numbers actions by what they are, not by what they say: an orchestrator that yields a task again
 * makes its package repeat the same object, and two calls that look the same are two objects.
 */
class SeenActions {
    #seen = new Set();
    #taken = 0;
    #openTimers = [];
    /** All of them, compound ones replaced by what they are made of. */
    leaves = [];
    /** Places of timers that were canceled. */
    canceled = [];

    /** Takes in what is new in the list of a package, which only grows. */
    take(actions) {
        for (; this.#taken < actions.length; this.#taken += 1) this.#add(actions[this.#taken]);
        this.#openTimers = this.#openTimers.filter((place) => {
            if (!this.leaves[place].isCanceled) return true;
            this.canceled.push(place);
            return false;
        });
    }

    #add(action) {
        if (action.compoundActions) {
            for (const part of action.compoundActions) this.#add(part);
        } else if (!this.#seen.has(action)) {
            this.#seen.add(action);
            if (action.actionType === TIMER) this.#openTimers.push(this.leaves.length);
            this.leaves.push(action);
        }
    }
}

module.exports = { SeenActions };
