'use strict';
// The worker itself: one app, one host, and what they say to each other.

const { App, coreModule, provide } = require('./app');
const { failed, shown } = require('./failures');
const { Invocations } = require('./invocations');
const { load } = require('./loading');
const { Logs } = require('./logs');
const { Pipe } = require('./pipe');
const { Refusal } = require('./refusal');
const { placeIn } = require('./places');
const { Sizes } = require('./sizes');
const { Turns } = require('./turns');

const PROTOCOL = 1;
/** The app may not use it while it is loaded, the worker may. */
const exit = process.exit.bind(process);

class Worker {
    #app = new App();
    #pipe;
    #logs;
    #invocations;
    #turns;
    #sizes = new Sizes();
    #isLoaded = false;
    #isStopping = false;
    #running = new Set();
    /** Turns run one after the other, in the order in which they came. */
    #lastTurn = Promise.resolve();

    constructor(descriptor) {
        this.#pipe = new Pipe(
            descriptor,
            (message, attachment) => this.#received(message, attachment),
            // Nobody is there any more who could want what runs.
            () => exit(0),
        );
        this.#logs = new Logs(this.#pipe, this.#app);
        this.#invocations = new Invocations(this.#app, this.#logs);
        provide(coreModule(this.#app, this.#logs));
        this.#watch();
        this.#pipe.send({
            type: 'hello',
            protocol: PROTOCOL,
            language: 'javascript',
            runtime: `node ${process.versions.node}`,
            pid: process.pid,
        });
    }

    #received(message, attachment) {
        switch (message.type) {
            case 'load':
                this.#load(message);
                break;
            case 'call':
                this.#begin(() => this.#call(message, attachment));
                break;
            case 'turn':
                this.#begin(
                    () => (this.#lastTurn = this.#lastTurn.then(() => this.#turn(message))),
                );
                break;
            case 'forget':
                // After the turns that came before it.
                this.#lastTurn = this.#lastTurn.then(() => this.#turns?.forget(message.key));
                break;
            case 'limits':
                this.#sizes.hear(message);
                break;
            case 'ping':
                this.#pipe.send({ type: 'pong', id: message.id });
                break;
            case 'stop':
                this.#stop();
                break;
            // `cancel`: a function cannot be told, so its answer goes to nobody. And what a later
            // version of the protocol may say.
            default:
        }
    }

    async #load({ root, keepsExecutors = true }) {
        try {
            const loaded = await load(this.#app, root);
            this.#turns = new Turns(this.#invocations, this.#logs, {
                keepsExecutors: keepsExecutors && loaded.keepsExecutors,
                marksPlayed: loaded.marksPlayed,
            });
            this.#isLoaded = true;
            this.#pipe.send(loaded.answer);
        } catch (error) {
            await this.#refuse(error);
        }
    }

    async #refuse(error) {
        const refusal =
            error instanceof Refusal
                ? error
                : new Refusal(`The app could not be started: ${error?.message ?? error}`, {
                      place: placeIn(this.#app.root, error?.stack),
                      cause: error,
                  });
        this.#pipe.send(refusal.answer);
        await this.#pipe.flush();
        exit(1);
    }

    #begin(run) {
        if (this.#isStopping) return;
        const running = run();
        this.#running.add(running);
        running.finally(() => this.#running.delete(running));
    }

    async #call(message, attachment) {
        try {
            const { attachment: body, ...told } = await this.#invocations.call(message, attachment);
            const result = { type: 'result', id: message.id, ...told };
            const isActivity = this.#invocations.isActivity(message.function);
            this.#pipe.send(isActivity ? this.#sizes.activity(message, result) : result, body);
        } catch (error) {
            this.#pipe.send(failed(message.id, error));
        }
    }

    async #turn(message) {
        try {
            const text = await this.#turns.run(message);
            const sent = this.#sizes.turn(message, text);
            if (sent !== text) this.#turns.forget(message.key);
            this.#pipe.sendText(sent);
        } catch (error) {
            this.#pipe.send(failed(message.id, error));
        }
    }

    async #stop() {
        if (this.#isStopping) return;
        this.#isStopping = true;
        while (this.#running.size) await Promise.allSettled([...this.#running]);
        try {
            await this.#app.hooks.run('appTerminate', this.#app.moment());
        } catch (error) {
            this.#logs.write(
                'error',
                'system',
                `A hook at the end has failed: ${shown(error)}`,
            );
        }
        await this.#pipe.flush();
        exit(0);
    }

    /** What user code drops on the floor. */
    #watch() {
        // Ctrl-C reaches every process of a terminal; when a worker ends is for its host to say.
        process.on('SIGINT', () => {});
        // Azure ends a worker for it. Nothing is broken by a rejection that nobody waits for, and
        // what else runs here would have to run again, so it is said and that is all.
        process.on('unhandledRejection', (reason) => {
            this.#logs.write(
                'error',
                'system',
                `A promise was rejected and nobody waited for it: ${shown(reason)}`,
            );
        });
        // After this nobody knows what state the app is in. The host starts another worker.
        process.on('uncaughtException', (error) => this.#die(error));
    }

    async #die(error) {
        if (!this.#isLoaded) return this.#refuse(error);
        this.#logs.write(
            'critical',
            'system',
            `An exception that nobody caught ends this worker: ${shown(error)}`,
        );
        await this.#pipe.flush();
        exit(1);
    }
}

/** Starts the worker; `descriptor` is its end of the pipe. */
function start(descriptor) {
    new Worker(descriptor);
}

module.exports = { start };
