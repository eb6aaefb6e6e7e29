'use strict';
// Cookies of an answer, as the packages describe them, as headers. What would be more than its
// place allows is refused, as the packages refuse it for answers that they send themselves: else
// whoever has a say in a name or a path would add attributes to the cookie.

const SAME_SITE = { lax: 'Lax', strict: 'Strict', explicitNone: 'None' };

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
const DOMAIN = new RegExp(`^[.]?${LABEL}([.]${LABEL})*$`, 'i');
/** What can be printed, without the semicolon, behind which the next attribute would be. */
const PATH = /^[ -:=-~]*$/;

/**
 * The value of a `set-cookie` header. As in Azure a cookie is for all paths unless it says so.
 *
 * @throws {TypeError} a part of it cannot stand in a header.
 */
function setCookie({ name, value, domain, path, expires, secure, httpOnly, sameSite, maxAge }) {
    const checked = (what, pattern, text) => {
        if (!pattern.test(text)) throw refused(name, what, text);
        return text;
    };
    const parts = [`${checked('name', NAME, name)}=${encodeURIComponent(value)}`];
    if (maxAge?.value !== undefined) {
        parts.push(`Max-Age=${checked('maxAge', /^-?\d+$/, Math.trunc(maxAge.value))}`);
    }
    if (domain?.value) parts.push(`Domain=${checked('domain', DOMAIN, domain.value)}`);
    parts.push(`Path=${checked('path', PATH, path?.value ?? '/')}`);
    if (expires?.value) {
        const moment = new Date(Number(expires.value.seconds) * 1000);
        if (Number.isNaN(moment.valueOf())) throw refused(name, 'expires', expires.value.seconds);
        parts.push(`Expires=${moment.toUTCString()}`);
    }
    if (httpOnly?.value) parts.push('HttpOnly');
    if (secure?.value) parts.push('Secure');
    if (SAME_SITE[sameSite]) parts.push(`SameSite=${SAME_SITE[sameSite]}`);
    return parts.join('; ');
}

function refused(name, what, given) {
    return new TypeError(
        `The cookie ${JSON.stringify(name)} cannot be sent: its ${what} ${JSON.stringify(given)} ` +
            'cannot stand in a header.',
    );
}

module.exports = { setCookie };
