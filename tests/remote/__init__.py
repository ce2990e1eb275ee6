"""The helper alone, by subprocess, without SSH or a controller.

Where each row of the fault table is shown. A docstring that begins `Fault N` names its row.

| rows | where |
|---|---|
| 1, 2, 4, 7, 8, 10, 11 | test_once |
| 6, 9, 15 | the host's half in test_once and test_stopping; the controller's with the engine's tests |
| 12, 13, 14, 22, 37 | test_stopping |
| 16, 17, 19, 20, 23, 24, 25, 26, 27, 42, 44 | test_survival |
| 18, 28, 29, 33, 35, 36 | test_results |
| 30, 31 | test_results, test_users |
| 32 | test_survival, test_stopping, test_users, and every test of an all-busybox PATH |
| 34 | test_results, test_streaming |
| 3, 5, 21, 39, 40, 41, 43 | need sshd or a controller: with the transports' and the engine's tests |
| 38 | needs systemd as process 1: not run |
"""
