/** What stands before each path of the server: it has put it into the page. */
export const prefix =
  globalThis.document?.querySelector<HTMLMetaElement>('meta[name="tenuto-prefix"]')?.content.replace(/\/$/, "") ?? "";
