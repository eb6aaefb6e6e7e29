'use strict';
// The pipe between host and worker, and the frames on it (docs/worker-protocol.md).

const net = require('net');

const HEAD_BYTES = 8;
// More than any message has: what announces more is no frame.
const MOST_BYTES = 2 ** 30;
const NOTHING = Buffer.alloc(0);

/** Puts frames together again from pieces that come as the system likes. */
class FrameReader {
    #pieces = [];
    #length = 0;

    /** The frames that this piece completes, each as `{message, attachment}`. */
    *feed(piece) {
        this.#pieces.push(piece);
        this.#length += piece.length;
        while (this.#length >= HEAD_BYTES) {
            // Pieces are joined when all of a frame is there, so that a long one is copied once.
            if (this.#pieces[0].length < HEAD_BYTES) this.#join();
            const head = this.#pieces[0];
            const text = head.readUInt32BE(0);
            const attachment = head.readUInt32BE(4);
            if (text + attachment > MOST_BYTES) {
                const bytes = text + attachment;
                throw new Error(`The host announced ${bytes} bytes; that is no message.`);
            }
            const end = HEAD_BYTES + text + attachment;
            if (this.#length < end) return;
            this.#join();
            const all = this.#pieces[0];
            this.#pieces[0] = all.subarray(end);
            this.#length -= end;
            yield {
                message: JSON.parse(all.toString('utf8', HEAD_BYTES, HEAD_BYTES + text)),
                attachment: all.subarray(HEAD_BYTES + text, end),
            };
        }
    }

    #join() {
        if (this.#pieces.length > 1) this.#pieces = [Buffer.concat(this.#pieces)];
    }
}

/** The text of a message and what is attached to it, as they lie on the pipe. */
function frame(text, attachment) {
    const length = Buffer.byteLength(text);
    const bytes = Buffer.allocUnsafe(HEAD_BYTES + length);
    bytes.writeUInt32BE(length, 0);
    bytes.writeUInt32BE(attachment.length, 4);
    bytes.write(text, HEAD_BYTES);
    return attachment.length ? Buffer.concat([bytes, attachment]) : bytes;
}

const HALVES = /(?<!\\)((?:\\\\)*)\\ud[89a-f][0-9a-f]{2}/g;

/**
 * The worker's end. What is sent waits in memory while the host reads slowly: the host bounds what
 * it asks for.
 *
 * `received(message, attachment)` is called for each message, `closed()` when the host is gone.
 */
class Pipe {
    #socket;
    #isHeld = false;
    #isEnded = false;

    constructor(descriptor, received, closed) {
        const frames = new FrameReader();
        this.#socket = new net.Socket({ fd: descriptor, readable: true, writable: true });
        this.#socket.on('data', (piece) => {
            for (const { message, attachment } of frames.feed(piece)) received(message, attachment);
        });
        this.#socket.on('end', closed);
        this.#socket.on('error', closed);
    }

    /** Messages of the same moment go out together. */
    send(message, attachment = NOTHING) {
        this.sendText(JSON.stringify(message), attachment);
    }

    sendText(text, attachment = NOTHING) {
        // What user code still says while the last words go out is too late.
        if (this.#isEnded) return;
        // Half of a surrogate pair is an escape that the host could not read.
        if (text.includes('\\ud')) text = text.replace(HALVES, '$1\\ufffd');
        if (!this.#isHeld) {
            this.#isHeld = true;
            this.#socket.cork();
            process.nextTick(() => {
                this.#isHeld = false;
                this.#socket.uncork();
            });
        }
        this.#socket.write(frame(text, attachment));
    }

    /** Sends nothing more; resolves when all that was sent has left this process. */
    flush() {
        this.#isEnded = true;
        return new Promise((resolve) => this.#socket.end(resolve));
    }
}

module.exports = { FrameReader, Pipe, frame };
