'use strict';
// Values on their way in and out: the protocol's (`string`, `json`, `bytes`, `http`, `answer`) and
// the packages' (typed data, as the real worker gives them).

const { setCookie } = require('./cookies');

/** The packages' form of a value of the protocol; a request has its body attached. */
function toPackage(datum, attachment) {
    if (!datum) return null;
    if (datum.bytes !== undefined) return { bytes: Buffer.from(datum.bytes, 'base64') };
    if (datum.http !== undefined) return { http: request(datum.http, attachment) };
    return datum;
}

function request({ method, url, headers = [], params = {} }, attachment) {
    // The query stays in the address: packages read it there, repeated names and all.
    const told = { method, url, headers: joined(headers), params };
    if (attachment.length) told.body = { bytes: attachment };
    return told;
}

/** Headers by name; what comes more than once is joined as HTTP has it. */
function joined(headers) {
    const byName = {};
    for (const [name, value] of headers) {
        const separator = name === 'cookie' ? '; ' : ', ';
        byName[name] = Object.hasOwn(byName, name) ? byName[name] + separator + value : value;
    }
    return byName;
}

/** What a trigger says beside its value, as the packages read it. */
function metadataToPackage(metadata) {
    const told = {};
    for (const [name, value] of Object.entries(metadata)) {
        told[name] =
            typeof value === 'string' ? { string: value } : { json: JSON.stringify(value) };
    }
    return told;
}

/** The protocol's form of a value of the packages: `{datum, attachment}`; null is nothing. */
function fromPackage(data) {
    if (!data) return { datum: null };
    if (data.http) return answer(data.http);
    if (data.bytes) return { datum: { bytes: Buffer.from(data.bytes).toString('base64') } };
    if (data.string !== undefined) return { datum: { string: data.string } };
    const number = data.int ?? data.double;
    const json = number === undefined ? data.json : JSON.stringify(number);
    return { datum: json === undefined ? null : { json } };
}

// What content negotiation would do is left to whoever reads: the body goes out as it is.
function answer({ statusCode, headers, cookies, body }) {
    const told = Object.entries(headers);
    for (const cookie of cookies) told.push(['set-cookie', setCookie(cookie)]);
    return {
        datum: { answer: { status: Number(statusCode), headers: told } },
        attachment: Buffer.from(body.bytes),
    };
}

module.exports = { fromPackage, metadataToPackage, toPackage };
