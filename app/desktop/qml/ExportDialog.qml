import QtQuick
import QtQuick.Dialogs
import Olivine

FileDialog {
    id: dialog
    property var conversation: 0  // 0: all
    property string format: "json"
    title: qsTr("Export")
    fileMode: FileDialog.SaveFile
    defaultSuffix: format
    nameFilters: format === "md" ? [qsTr("Markdown (*.md)")] : [qsTr("JSON (*.json)")]
    onAccepted: conversation ? App.conversations.export_to(conversation, selectedFile, format)
                             : App.conversations.export_all(selectedFile)
    function ask(which, name, as) {
        conversation = which
        format = as
        currentFile = currentFolder + "/" + encodeURIComponent(Array.from(name.replace(/[\/\\:*?"<>|]/g, " ")).slice(0, 80).join("")) + "." + as
        open()
    }
}
