/** Hands a file to the browser's downloads. */
export function save(content: Blob, name: string) {
  const at = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = at;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(at), 60_000);
}
