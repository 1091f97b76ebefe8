// A command from the cloud: not kept anywhere, and carried out once it is cleared from the shadow.
// Shadow: "reboot": {"delay": 60}
module.exports = {
  key: 'reboot',
  ephemeraldata: true,
  // Gets the validated configuration as JSON on its standard input.
  notifycmd: `delay=$(sed -n 's/.*"delay":\\([0-9]*\\).*/\\1/p'); sleep "$delay" && reboot`,
  // It is killed after this time.
  timeout: 400,

  validate({ delay = 10 }) {
    if (!Number.isInteger(delay) || delay < 0 || delay > 300) {
      throw new Error(`delay must be 0 to 300 seconds, not ${delay}`);
    }
    return { delay };
  },
};
