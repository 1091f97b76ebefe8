// Manual network settings, for a script that sources /etc/network.rc.
// Shadow: "network": {"mode": "static", "address": "192.168.1.20/24", "gateway": "192.168.1.1"}
const { isAddress, parseSubnet } = require('./_addresses');

module.exports = {
  key: 'network',
  outfile: '/etc/network.rc',
  outformat: 'SHELL',
  notifycmd: 'sv restart network',
  timeout: 30,

  // Gets what the whole section would become. Throw to reject it: a wrong address is not worth a
  // journey to the device.
  validate(network) {
    if (network.mode === 'dhcp') {
      // Fix-ups are what is returned; null removes a member.
      return { ...network, address: null, gateway: null };
    }
    if (network.mode !== 'static') {
      throw new Error(`mode must be dhcp or static, not ${network.mode}`);
    }
    const { contains } = parseSubnet(network.address);
    if (!isAddress(network.gateway) || !contains(network.gateway)) {
      throw new Error(`gateway ${network.gateway} cannot be reached from ${network.address}`);
    }
    return network;
  },
};
