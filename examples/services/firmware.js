// Which firmware the device is to run. The updater sources /config/firmware.rc, downloads and installs.
// Shadow: "firmware": {"version": "2.4.1", "url": "https://…", "sha256": "…", "progress": 40}
module.exports = {
  key: 'firmware',
  outfile: '/config/firmware.rc',
  outformat: 'SHELL',
  // The updater reports its progress by files like these: progress='40'
  informat: 'SHELL',
  // What it reports is not written back to its own settings, and does not start it again.
  outkeys: ['version', 'url', 'sha256'],
  notifycmd: 'sv up firmware',
  // An update that was wanted while the device was off.
  initialnotify: true,

  validate({ version, url, sha256 }) {
    if (!/^\d+\.\d+\.\d+$/.test(version)) throw new Error(`version must look like 1.2.3, not ${version}`);
    if (!/^https:\/\//.test(url)) throw new Error('url must begin with https://');
    if (!/^[0-9a-f]{64}$/i.test(sha256)) throw new Error('sha256 must have 64 hexadecimal digits');
    // Nothing is returned: the configuration is used as it is.
  },
};
