// IPv4 addresses, for definitions to require. A name that begins with an underscore is no definition.
const toNumber = (address) => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

exports.isAddress = (text) => typeof text === 'string'
  && /^\d{1,3}(\.\d{1,3}){3}$/.test(text)
  && text.split('.').every((part) => Number(part) <= 255);

// Reads 192.168.1.20/24. Throws what a person should be told.
exports.parseSubnet = (text) => {
  const [address, prefix] = String(text).split('/');
  if (!exports.isAddress(address) || !/^\d+$/.test(prefix) || Number(prefix) > 32) {
    throw new Error(`address must look like 192.168.1.20/24, not ${text}`);
  }
  const size = 2 ** (32 - Number(prefix));
  const subnet = (other) => Math.floor(toNumber(other) / size);
  return { contains: (other) => subnet(other) === subnet(address) };
};
