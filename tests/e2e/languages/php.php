<?php
// SPDX-License-Identifier: Apache-2.0
// usage: see languages.sh
set_error_handler(function ($code, $message) {
    throw new ErrorException($message);
});
[, $way, $path, $text] = $argv + [3 => ""];
switch ($way) {
    case "write":
        $file = fopen($path, "w+");
        fwrite($file, $text);
        fclose($file);
        break;
    case "read":
        echo file_get_contents($path);
        break;
    case "call":
        $file = fopen($path, "r+");
        fwrite($file, $text);
        echo stream_get_contents($file);
        break;
}
