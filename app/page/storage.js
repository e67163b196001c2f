// What the browser keeps between visits: a list of records in IndexedDB.

const DATABASE = "adain";
const STORE = "results";

/** Resolve to what an IndexedDB request comes to. */
const outcome = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

let opened = null;

async function store(mode) {
  opened ??= (() => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { autoIncrement: true });
    return outcome(request);
  })();
  return (await opened).transaction(STORE, mode).objectStore(STORE);
}

/** Return all records, the oldest first, each with its `key`. */
export async function readRecords() {
  const records = await store("readonly");
  const [keys, values] = await Promise.all([outcome(records.getAllKeys()), outcome(records.getAll())]);
  return values.map((value, i) => ({ ...value, key: keys[i] }));
}

/** Keep a record; return its key. */
export const addRecord = async (record) => outcome((await store("readwrite")).add(record));

export const deleteRecord = async (key) => outcome((await store("readwrite")).delete(key));
