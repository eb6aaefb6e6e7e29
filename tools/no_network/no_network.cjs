'use strict';

// Refuses sockets that leave this machine, in every Node that is told to require this file.

const dgram = require('node:dgram');
const dns = require('node:dns');
const net = require('node:net');

function isHere(host) {
    return host === undefined || host === 'localhost' || host === '::1' || host.startsWith('127.');
}

function refuse(host) {
    if (!isHere(host)) throw new Error(`the network is off here: no connection to ${host}`);
}

const { connect } = net.Socket.prototype;
net.Socket.prototype.connect = function (...given) {
    const [first, second] = Array.isArray(given[0]) ? given[0] : given;
    const isOptions = typeof first === 'object' && first !== null;
    if (isOptions) {
        if (!first.path) refuse(first.host);
    } else if (typeof second === 'string') {
        refuse(second);
    }
    return connect.apply(this, given);
};

for (const owner of [dns, dns.promises]) {
    const { lookup } = owner;
    owner.lookup = (host, ...rest) => {
        refuse(host);
        return lookup(host, ...rest);
    };
}

for (const name of ['connect', 'send']) {
    dgram.Socket.prototype[name] = () => refuse('another machine by UDP');
}
