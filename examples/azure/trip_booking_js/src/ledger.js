'use strict';

// The booking offices of the world: a folder with one file for each booking. A request whose key
// has been seen before is not booked again, as any good booking service does it.

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

function place(key) {
    const folder = process.env.LEDGER || 'ledger';
    fs.mkdirSync(folder, { recursive: true });
    const name = createHash('sha256').update(key).digest('hex').slice(0, 12);
    return path.join(folder, `${name}.json`);
}

// Written beside and renamed, so that nobody ever reads half a booking.
function write(file, booking) {
    const draft = `${file}.${process.pid}.draft`;
    fs.writeFileSync(draft, JSON.stringify(booking));
    fs.renameSync(draft, file);
}

function book(key, kind, what, price) {
    const file = place(key);
    if (!fs.existsSync(file)) write(file, { key, kind, what, price, canceled: false });
    return { key, kind, what, price };
}

function cancel(key) {
    const file = place(key);
    write(file, { ...JSON.parse(fs.readFileSync(file, 'utf8')), canceled: true });
}

module.exports = { book, cancel };
